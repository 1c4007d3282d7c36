// SPDX-License-Identifier: Apache-2.0
//
// Beside a Katran server: whether it forwards what is for the VIPs of our groups.
//
// Asks whoever is in the forwarder's slot, now and then, and says in the log what
// changes. On the loop's thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "daemon/config/config.h"
#include "daemon/forwarders/forwarder_slot.h"
#include "daemon/steering/steering.h"

namespace remora {

class KatranWatch {
 public:
  // Both must outlive it.
  KatranWatch(const ForwarderSlot& slot, Steering& steering) : slot_(slot), steering_(steering) {}

  // The groups and services to watch from now on. Looks at once.
  void use(const Config& config);

  // Throws std::system_error when the slot cannot be run.
  void look();

  // Of a group's VIP at the worst of the services' ports; nothing for an unknown group.
  std::optional<VipState> state_of(const std::string& group) const;

 private:
  void tell(const std::string& group, VipState state);

  const ForwarderSlot& slot_;
  Steering& steering_;
  std::map<std::string, Address> vips_;  // by group
  std::set<std::uint16_t> ports_;        // host order
  std::map<std::string, VipState> states_;
  bool is_slot_empty_ = false;
};

}  // namespace remora
