// SPDX-License-Identifier: Apache-2.0
//
// The numbers by which the kernel knows groups, services and reals.
//
// They are kept in pinned maps and so live as long as the flows and predictions
// that carry them: a name that comes back gets the number that it had.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "daemon/kernel/maps.h"

namespace remora {

class Ids {
 public:
  // Reads what is known. `limit` groups have room.
  Ids(const Maps& maps, std::uint32_t group_limit);

  // The number of a name, a new one for a new name. Throws std::runtime_error
  // with the remedy when none is left.
  std::uint16_t of_group(const std::string& name);
  std::uint16_t of_service(const std::string& name);
  // The index into `reals`, from 1; written there when it is new.
  std::uint32_t of_real(const Address& address);

  // The names of today and of former configurations.
  std::optional<std::string> group_name(std::uint16_t number) const;
  std::optional<std::string> service_name(std::uint16_t number) const;
  std::optional<Address> real_address(std::uint32_t index) const;
  std::optional<std::uint32_t> index_of(const Address& real) const;

 private:
  std::uint16_t number_of(name_kind kind, const std::string& name, std::uint32_t limit);

  const Maps& maps_;
  const std::uint32_t group_limit_;
  std::map<std::pair<std::uint8_t, std::string>, std::uint16_t> ids_;
  std::map<std::pair<std::uint8_t, std::uint16_t>, std::string> names_;
  std::map<Address, std::uint32_t> reals_;
};

}  // namespace remora
