// SPDX-License-Identifier: Apache-2.0
//
// The targets of health checks, and the private address of each. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemon/config/config.h"

namespace remora {

// A real of a group as clients of one service see it.
struct CheckTarget {
  std::string group;
  Address real;
  Address service;
  std::uint16_t port = 0;  // the service's, host order

  auto operator<=>(const CheckTarget&) const = default;
  bool operator==(const CheckTarget&) const = default;
};

// Whether there is anything to check. A Katran server checks its reals itself.
bool are_checked(const Config& config);

// The targets of a configuration: each service may be routed to each group. Empty if nothing is
// checked.
std::vector<CheckTarget> check_targets(const Config& config);

// Gives each target an address of its service's family.
class CheckAddresses {
 public:
  CheckAddresses(const Prefix& network4, const Prefix& network6)
      : network4_(network4), network6_(network6) {}

  // A target that stays keeps its address. The check of the configuration ensures that the networks
  // are large enough for all.
  void assign(const std::vector<CheckTarget>& targets);

  const std::map<CheckTarget, Address>& all() const { return addresses_; }

 private:
  Address free_address(const Prefix& network, std::uint32_t& next) const;

  Prefix network4_;
  Prefix network6_;
  std::map<CheckTarget, Address> addresses_;
  std::set<Address> taken_;
};

}  // namespace remora
