// SPDX-License-Identifier: Apache-2.0
//
// Which reals of each group take new connections, and why the others do not.
//
// Pure: input is the configuration and the orders of operators and checks, output is the weights of
// each group's ring. Existing connections stay on their real when the ring changes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/address.h"
#include "daemon/config/config.h"

namespace remora {

enum class RealState : std::uint8_t {
  kEnabled,
  kDraining,  // ordered by an operator
  kDead,      // its checks fail; this outweighs draining
};

std::string_view to_string(RealState state);

// A real as a member of one group.
struct Member {
  Address address;
  std::uint32_t weight = 1;  // as configured
  bool draining = false;
  bool dead = false;
  bool in_ring = false;

  RealState state() const;
  // The weight in the ring; 0 if the real takes no new connections.
  std::uint32_t effective_weight() const { return in_ring ? weight : 0; }
};

class Reals {
 public:
  // Takes up the configured groups. A real that stays in its group keeps its state there; the state
  // of one that leaves is forgotten.
  void configure(std::span<const Group> groups);

  // The groups to which a real belongs; with `group`, only that one. Throws std::runtime_error,
  // which lists the existing ones, if it is in none.
  std::vector<std::string> groups_of(const Address& address,
                                     const std::optional<std::string>& group) const;

  // The following calls are for a real of a group, as returned by groups_of().
  void drain(const std::string& group, const Address& address);
  void enable(const std::string& group, const Address& address);
  void mark_dead(const std::string& group, const Address& address);
  void mark_alive(const std::string& group, const Address& address);

  // Empty if the group is not configured.
  std::span<const Member> members(const std::string& group) const;
  const Member* find(const std::string& group, const Address& address) const;

 private:
  Member& at(const std::string& group, const Address& address);
  void settle(const std::string& group);

  std::map<std::string, std::vector<Member>> groups_;
};

}  // namespace remora
