// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/reals_admin.h"

#include <set>
#include <stdexcept>
#include <utility>

#include "log/fields.h"

namespace remora {

void RealsAdmin::require_our_reals() const {
  const ForwarderTraits& forwarder = traits_of(parts_.config.lb.forwarder);
  if (forwarder.has_our_reals) return;
  throw std::runtime_error("with forwarder = \"" + std::string(forwarder.word) +
                           "\" the reals, their weights and their health belong to the Katran "
                           "server: use its own tools");
}

RealsAdmin::Groups RealsAdmin::drain(const Address& real, const std::optional<std::string>& group) {
  require_our_reals();
  return parts_.steering.drain(real, group);
}

RealsAdmin::Groups RealsAdmin::enable(const Address& real,
                                      const std::optional<std::string>& group) {
  require_our_reals();
  Groups groups = parts_.steering.enable(real, group);
  parts_.evacuation.stop(parts_.ids.of_real(real));
  return groups;
}

// Drains it first: otherwise the clients that leave would come back to the same real.
RealsAdmin::Groups RealsAdmin::evacuate(const Address& real,
                                        const std::optional<std::string>& group,
                                        std::uint32_t per_second) {
  require_our_reals();
  Groups groups = parts_.steering.reals().groups_of(real, group);
  Reals after = parts_.steering.reals();
  std::set<std::uint16_t> numbers;
  for (const std::string& name : groups) {
    after.drain(name, real);
    if (after.find(name, real)->in_ring) {
      throw std::runtime_error(to_string(real) + " cannot be evacuated: group \"" + name +
                               "\" has no other real that takes connections");
    }
    numbers.insert(parts_.ids.of_group(name));
  }
  for (const std::string& name : groups) parts_.steering.drain(real, name);
  parts_.evacuation.start(parts_.ids.of_real(real), std::move(numbers), per_second);
  return groups;
}

void RealsAdmin::forget(std::span<const std::uint32_t> reals) {
  for (const std::uint32_t real : reals) {
    parts_.evacuation.stop(real);
    parts_.severance.forget(real);
    for (const Group& group : parts_.config.groups) parts_.forwarder.forget(group.vip, real);
  }
}

// If the group has no other real, a reset gains nothing: the real stays in the ring, and the check
// may be wrong.
void RealsAdmin::died(const std::string& group, const Address& real, std::string_view why) {
  parts_.steering.mark_dead(group, real);
  const Member* member = parts_.steering.reals().find(group, real);
  const bool is_out = member && !member->in_ring;
  log::With({{"REAL", to_string(real)}, {"GROUP", group}})
      .warn("real {} of group {} is dead: {}{}", to_string(real), group, why,
            is_out ? "" : "; it stays, because the group has no other");
  sever_dead(group);
}

// A dead real that stayed because there was no other leaves the ring when another one is back.
void RealsAdmin::sever_dead(const std::string& group) {
  for (const Member& member : parts_.steering.reals().members(group)) {
    if (!member.dead || member.in_ring) continue;
    const std::uint16_t number = parts_.ids.of_group(group);
    const std::uint32_t real = parts_.ids.of_real(member.address);
    parts_.severance.start(number, real);
    if (const auto entry = parts_.maps.groups.find(number))
      parts_.forwarder.forget(Address(entry->vip), real);
  }
}

void RealsAdmin::lives_again(const std::string& group, const Address& real) {
  parts_.steering.mark_alive(group, real);
  parts_.severance.stop(parts_.ids.of_group(group), parts_.ids.of_real(real));
  sever_dead(group);
  const Member* member = parts_.steering.reals().find(group, real);
  log::With({{"REAL", to_string(real)}, {"GROUP", group}})
      .info("real {} of group {} lives again; it is {}", to_string(real), group,
            member ? to_string(member->state()) : "gone");
}

}  // namespace remora
