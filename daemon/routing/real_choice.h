// SPDX-License-Identifier: Apache-2.0
//
// Chooses the real of a group for a routed client's session. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/endpoint.h"
#include "daemon/config/config.h"
#include "daemon/steering/reals.h"

namespace remora {

// A real that takes connections.
struct RealChoice {
  Endpoint at;
  std::uint32_t weight;
  bool takes_proxy_header = false;  // that port expects one

  bool operator==(const RealChoice&) const = default;
};

// Choices by group number.
using RealChoices = std::map<std::uint32_t, std::vector<RealChoice>>;

// The real for an attempt of a client with this key. Clients are spread in proportion to the
// weights, and each stays at its real when others come or go (rendezvous hashing). Empty if the
// group has no reals.
std::optional<RealChoice> choose_real(const std::vector<RealChoice>& reals, std::uint64_t key,
                                      unsigned attempt);

// The address from which a session goes to `real`: one of its family, as far as there is one.
// Further attempts take further addresses.
std::optional<Address> choose_source(const std::vector<Address>& sources, const Address& real,
                                     std::uint64_t key, unsigned attempt);

}  // namespace remora
