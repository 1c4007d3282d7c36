// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/reals.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace remora {
namespace {

bool is_usable(const Member& member) {
  return !member.draining && !member.dead;
}

// Chooses the reals that take new connections. If none is usable, the previous ones go on: a check
// may be wrong, and having no real helps nobody. If those are gone, it chooses reals that no
// operator took out; if there are none either, all.
void choose(std::vector<Member>& members) {
  if (std::ranges::any_of(members, is_usable)) {
    for (Member& member : members) member.in_ring = is_usable(member);
    return;
  }
  if (std::ranges::any_of(members, &Member::in_ring)) return;
  const bool all = std::ranges::all_of(members, &Member::draining);
  for (Member& member : members) member.in_ring = all || !member.draining;
}

}  // namespace

std::string_view to_string(RealState state) {
  switch (state) {
    case RealState::kDraining:
      return "draining";
    case RealState::kDead:
      return "dead";
    case RealState::kEnabled:
      break;
  }
  return "enabled";
}

RealState Member::state() const {
  if (dead) return RealState::kDead;
  return draining ? RealState::kDraining : RealState::kEnabled;
}

void Reals::configure(std::span<const Group> groups) {
  std::map<std::string, std::vector<Member>> next;
  for (const Group& group : groups) {
    std::vector<Member>& members = next[group.name];
    for (const Real& real : group.reals) {
      const Member* known = find(group.name, real.address);
      members.push_back(known ? *known : Member{.address = real.address});
      members.back().weight = real.weight;
    }
    choose(members);
  }
  groups_ = std::move(next);
}

std::vector<std::string> Reals::groups_of(const Address& address,
                                          const std::optional<std::string>& group) const {
  if (group && !groups_.contains(*group)) {
    throw std::runtime_error("there is no group \"" + *group +
                             "\"; remoractl reals list shows those there are");
  }
  std::vector<std::string> found;
  for (const auto& [name, members] : groups_) {
    if (group && name != *group) continue;
    if (find(name, address)) found.push_back(name);
  }
  if (found.empty()) {
    throw std::runtime_error(
        (group ? "group \"" + *group + "\" has no real " : std::string("no group has a real ")) +
        to_string(address) + "; remoractl reals list shows those there are");
  }
  return found;
}

void Reals::drain(const std::string& group, const Address& address) {
  at(group, address).draining = true;
  settle(group);
}

void Reals::enable(const std::string& group, const Address& address) {
  at(group, address).draining = false;
  settle(group);
}

void Reals::mark_dead(const std::string& group, const Address& address) {
  at(group, address).dead = true;
  settle(group);
}

void Reals::mark_alive(const std::string& group, const Address& address) {
  at(group, address).dead = false;
  settle(group);
}

std::span<const Member> Reals::members(const std::string& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? std::span<const Member>() : std::span(found->second);
}

const Member* Reals::find(const std::string& group, const Address& address) const {
  const auto all = members(group);
  const auto found = std::ranges::find(all, address, &Member::address);
  return found == all.end() ? nullptr : &*found;
}

Member& Reals::at(const std::string& group, const Address& address) {
  std::vector<Member>& members = groups_.at(group);
  const auto found = std::ranges::find(members, address, &Member::address);
  if (found == members.end()) {
    throw std::out_of_range(to_string(address) + " is not in group " + group);
  }
  return *found;
}

void Reals::settle(const std::string& group) {
  choose(groups_.at(group));
}

}  // namespace remora
