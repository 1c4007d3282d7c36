// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/check_addresses.h"

#include <stdexcept>
#include <utility>

namespace remora {

bool are_checked(const Config& config) {
  return config.health.check != CheckKind::kOff && traits_of(config.lb.forwarder).has_our_reals;
}

std::vector<CheckTarget> check_targets(const Config& config) {
  std::vector<CheckTarget> targets;
  if (!are_checked(config)) return targets;
  for (const Group& group : config.groups) {
    for (const Real& real : group.reals) {
      for (const Service& service : config.services) {
        targets.push_back({group.name, real.address, service.address, service.port});
      }
    }
  }
  return targets;
}

void CheckAddresses::assign(const std::vector<CheckTarget>& targets) {
  std::map<CheckTarget, Address> next;
  taken_.clear();
  for (const CheckTarget& target : targets) {
    const auto known = addresses_.find(target);
    if (known == addresses_.end()) continue;
    next.insert(*known);
    taken_.insert(known->second);
  }
  std::uint32_t next4 = kFirstCheckAddress, next6 = kFirstCheckAddress;
  for (const CheckTarget& target : targets) {
    if (next.contains(target)) continue;
    const bool is_ipv4 = target.service.is_ipv4();
    const Address address = free_address(is_ipv4 ? network4_ : network6_, is_ipv4 ? next4 : next6);
    next.emplace(target, address);
    taken_.insert(address);
  }
  addresses_ = std::move(next);
}

Address CheckAddresses::free_address(const Prefix& network, std::uint32_t& next) const {
  for (; next < network.size(); ++next) {
    if (const Address address = network.at(next); !taken_.contains(address)) return address;
  }
  throw std::logic_error("no check address is left in " + to_string(network));
}

}  // namespace remora
