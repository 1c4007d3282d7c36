// SPDX-License-Identifier: Apache-2.0
//
// Brings the kernel's tables to what the configuration says, and the predictions
// to what the history knows.
//
// Traffic flows meanwhile. What a packet may meet is ordered: reals before the
// rings that name them, rings before groups, groups before services, and routes
// as a whole set of a new generation.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/numbers.h"
#include "daemon/route_table.h"
#include "daemon/segment.h"
#include "daemon/tables.h"
#include "store/history.h"

namespace remora {

class Steering {
 public:
  // `tables` and `numbers` must outlive it.
  Steering(const Tables& tables, Numbers& numbers);

  // Applies the difference to what is in force. Throws, with the remedy, before
  // anything is changed when numbers run out.
  void apply(const Config& config, std::uint32_t link_mtu);

  enum class Overwrite : std::uint8_t {
    kNothing,  // what the kernel learned stays
    kAll,      // the table is new: nothing was learned yet
  };
  // Fills the predictions from the history, topics matched against the routes
  // in force. Returns how many.
  std::uint64_t load_predictions(History& history, Overwrite overwrite);

  // Matches the known topics anew after a change of routes: predictions whose
  // topic now belongs to another group follow. Returns how many changed.
  std::uint64_t rematch_predictions(History& history);

  void set_link_mtu(std::uint32_t mtu);
  void set_gateway(const MacAddress& mac);

  // Of a service's number; nothing for a former one.
  std::optional<Endpoint> endpoint_of(std::uint16_t service) const;

 private:
  struct GroupInForce {
    std::uint16_t number;
    std::vector<Real> reals;
  };

  void write_groups(const Config& config);
  void write_services(const Config& config);
  void write_routes(const Config& config);
  ::settings current_settings() const;
  std::optional<std::uint16_t> service_number(const std::string& name) const;
  std::uint16_t group_for(const std::string& service, std::string_view topic) const;

  const Tables& tables_;
  Numbers& numbers_;
  ::topic_keys keys_{};
  RouteTable routes_;
  std::map<std::string, GroupInForce> groups_;            // by name
  std::map<std::string, std::uint16_t> default_groups_;   // by service name
  std::map<std::string, std::uint16_t> service_numbers_;  // by name
  std::map<std::uint16_t, Endpoint> endpoints_;
};

}  // namespace remora
