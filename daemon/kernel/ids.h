// SPDX-License-Identifier: Apache-2.0
//
// The numbers by which the kernel knows groups, services and reals.
//
// They are kept in pinned maps and so live as long as the flows and predictions that carry them: a
// group's name or a service's address and port that comes back gets its earlier number. A number
// becomes free only when numbers run out and nothing in the kernel refers to it any more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/base/endpoint.h"
#include "daemon/config/config.h"
#include "daemon/kernel/maps.h"

namespace remora {

class Ids {
 public:
  // Reads the known numbers. There is room for `group_limit` groups.
  Ids(const Maps& maps, std::uint32_t group_limit);

  // Frees unused numbers if the remaining ones are too few for the new names in `next`. Returns
  // the indexes of the reals among the freed. Throws std::system_error.
  std::vector<std::uint32_t> make_room(const Config& next);

  // The number of a name; a new name gets a new number. Throws std::runtime_error with the remedy
  // if none is left.
  std::uint16_t of_group(const std::string& name);
  // A service is known by its address and port. `name` is its present label: if only the label has
  // a number, given by an earlier version, the service takes it over.
  std::uint16_t of_service(const Endpoint& at, const std::string& name);
  // The index into `reals`, from 1. A new real is written there.
  std::uint32_t of_real(const Address& address);

  // The number of a service that has one.
  std::optional<std::uint16_t> service_number(const Endpoint& at) const;

  // Names and services of the present and earlier configurations.
  std::optional<std::string> group_name(std::uint16_t number) const;
  // Address and port, as the history knows it; or the name, for a former service whose number was
  // given by an earlier version.
  std::optional<std::string> service_text(std::uint16_t number) const;
  std::optional<Address> real_address(std::uint32_t index) const;
  std::optional<std::uint32_t> index_of(const Address& real) const;

 private:
  bool has_room(const Config& next) const;
  void free_name(name_kind kind, std::uint16_t number);
  std::uint16_t number_of(name_kind kind, const std::string& name, std::uint32_t limit);
  void convert_service(const std::string& name, const std::string& at);

  const Maps& maps_;
  const std::uint32_t group_limit_;
  std::map<std::pair<std::uint8_t, std::string>, std::uint16_t> ids_;
  std::map<std::pair<std::uint8_t, std::uint16_t>, std::string> names_;
  std::map<Address, std::uint32_t> reals_;
  std::set<std::uint32_t> free_reals_;  // indexes
};

}  // namespace remora
