// SPDX-License-Identifier: Apache-2.0
//
// Takes reals out of their groups and back again, on the orders of operators and of checks.
//
// On the loop's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/address.h"
#include "daemon/config/config.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/kernel/ids.h"
#include "daemon/kernel/maps.h"
#include "daemon/sessions/evacuation.h"
#include "daemon/sessions/severance.h"
#include "daemon/steering/steering.h"

namespace remora {

class RealsAdmin {
 public:
  struct Parts {
    const Config& config;
    const Maps& maps;
    Ids& ids;
    Steering& steering;
    Forwarder& forwarder;
    Evacuation& evacuation;
    Severance& severance;
  };
  // All references must outlive it.
  explicit RealsAdmin(const Parts& parts) : parts_(parts) {}

  // Throws std::runtime_error if another process manages the reals.
  void require_our_reals() const;

  // Orders of operators, for one group or, without `group`, for all groups of the real, which are
  // returned. Throw std::runtime_error for an unknown real or group, saying which ones there are.
  using Groups = std::vector<std::string>;
  Groups drain(const Address& real, const std::optional<std::string>& group);
  Groups enable(const Address& real, const std::optional<std::string>& group);
  // Drains it, too. Throws std::runtime_error, and changes nothing, if a group has no other real
  // that takes connections.
  Groups evacuate(const Address& real, const std::optional<std::string>& group,
                  std::uint32_t per_second);

  // Call this when the indexes may belong to other reals.
  void forget(std::span<const std::uint32_t> reals);

  // Results of checks. `why` is the last result, for the log.
  void died(const std::string& group, const Address& real, std::string_view why);
  void lives_again(const std::string& group, const Address& real);

 private:
  void sever_dead(const std::string& group);

  const Parts parts_;
};

}  // namespace remora
