// SPDX-License-Identifier: Apache-2.0
//
// Checks the reals of all groups, and reports which have died and which are alive again.
//
// A check goes to a private address, and the map `checks` tells the TC program at the interface
// where to send it. While no packet can leave the LB nothing is checked, because failures would
// say nothing about a broker.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/base/event_loop.h"
#include "daemon/config/check_addresses.h"
#include "daemon/config/config.h"
#include "daemon/health/mqtt_prober.h"
#include "daemon/health/schedule.h"
#include "daemon/health/tcp_prober.h"
#include "daemon/kernel/maps.h"
#include "daemon/steering/reals.h"

namespace remora {

class HealthChecks {
 public:
  // Everything runs on the loop's thread. `loop` and `maps` must outlive it.
  HealthChecks(EventLoop& loop, const Maps& maps, const Config& config, unsigned interface_index,
               CheckSchedule::Handlers handlers);
  ~HealthChecks();
  HealthChecks(const HealthChecks&) = delete;
  HealthChecks& operator=(const HealthChecks&) = delete;

  // The interface was created again, with another index. The next step() adds the routes.
  void move_to(unsigned interface_index);

  // From now on the routes outlive this object, as the programs on the interface do.
  void keep_routes() { keeps_routes_ = true; }

  // Does the steps that may fail, before use() changes anything: reads the password, sets routes.
  // Throws std::runtime_error with the remedy.
  void prepare(const Config& config);

  // Checks according to the configuration, which must be the one that was prepared, and the present
  // reals. Calls the handlers for dead reals that are no longer checked.
  void use(const Config& config, const Reals& reals, std::uint64_t now_ns);

  // Whether packets for brokers are sent at all: the programs are on the interface, and the
  // gateway is known.
  enum class Way : std::uint8_t { kOpen, kNone };
  // Called often.
  void step(Way way, std::uint64_t now_ns);

  // Gives up the checks under way, because the host may not have been in order.
  void abandon() { schedule_.abandon(); }

  // Result of the last check, for people; empty if the real is not checked.
  std::string why(const std::string& group, const Address& real) const {
    const HealthState* state = find(group, real);
    return state ? state->last().what : "";
  }

  // State of a real; nullptr if it is not checked.
  const HealthState* find(const std::string& group, const Address& real) const {
    return schedule_.find(group, real);
  }

 private:
  void write_checks(const Config& config) const;
  Prober* prober_for(const Config& config);
  bool has_way(std::uint64_t now_ns);
  bool look_for_way();
  bool has_left(const Endpoint& local, const Endpoint& to) const;

  EventLoop& loop_;
  const Maps& maps_;
  unsigned interface_index_;
  const CheckSchedule::Handlers handlers_;
  CheckAddresses addresses_;
  CheckSchedule schedule_;
  std::vector<Prefix> networks_;  // the routed ones
  bool keeps_routes_ = false;
  MqttLogin login_;
  bool has_way_ = true;
  std::uint64_t looked_at_ns_ = 0;
  // Made when first needed. They call back into the schedule.
  std::unique_ptr<TcpProber> tcp_;
  std::unique_ptr<MqttProber> mqtt_;
};

}  // namespace remora
