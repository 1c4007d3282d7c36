// SPDX-License-Identifier: Apache-2.0
//
// Which reals of each group take new connections, and why the others do not.
//
// Pure: the configuration and what operators and checks say go in, the weights
// of each group's ring come out. Existing connections stay on their real when the ring
// changes.
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
  kDraining,  // an operator said so
  kDead,      // its checks fail; weighs more than draining
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
  // In the ring; 0: takes no new connections.
  std::uint32_t effective_weight() const { return in_ring ? weight : 0; }
};

class Reals {
 public:
  // Takes over the configured groups. A real that stays in its group stays what
  // it was there; the state of one that leaves is forgotten.
  void configure(std::span<const Group> groups);

  // Which groups a real belongs to; with `group`, that one. Throws
  // std::runtime_error, saying what is there, when it is in none.
  std::vector<std::string> groups_of(const Address& address,
                                     const std::optional<std::string>& group) const;

  // Each for a real of a group, known by groups_of().
  void drain(const std::string& group, const Address& address);
  void enable(const std::string& group, const Address& address);
  void mark_dead(const std::string& group, const Address& address);
  void mark_alive(const std::string& group, const Address& address);

  // Empty for a group that is not configured.
  std::span<const Member> members(const std::string& group) const;
  const Member* find(const std::string& group, const Address& address) const;

 private:
  Member& at(const std::string& group, const Address& address);
  void settle(const std::string& group);

  std::map<std::string, std::vector<Member>> groups_;
};

}  // namespace remora
