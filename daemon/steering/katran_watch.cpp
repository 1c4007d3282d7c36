// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/katran_watch.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "bpf/parse.h"

namespace remora {

void KatranWatch::use(const Config& config) {
  vips_.clear();
  ports_.clear();
  for (const Group& group : config.groups) vips_[group.name] = group.vip;
  for (const Service& service : config.services) ports_.insert(service.port);
  std::erase_if(states_, [&](const auto& state) { return !vips_.contains(state.first); });
  look();
}

void KatranWatch::look() {
  bool is_slot_empty = false;
  for (const auto& [group, vip] : vips_) {
    ForwarderSlot::Answer worst{VipState::kForwards, false};
    for (const std::uint16_t port : ports_) {
      const ForwarderSlot::Answer answer = slot_.ask(vip, host_to_net16(port));
      worst.state = std::max(worst.state, answer.state);
      worst.over_ipv6 |= answer.over_ipv6;
    }
    is_slot_empty |= worst.state == VipState::kEmptySlot;
    tell(group, worst.state);
    // What is not known stays as it is.
    if (worst.state == VipState::kForwards)
      steering_.set_outer_family(group, worst.over_ipv6 ? Family::kIpv6 : Family::kIpv4);
  }
  if (is_slot_empty != is_slot_empty_) {
    if (is_slot_empty)
      spdlog::warn("the forwarder's slot is empty: packets to services are dropped and counted");
    else
      spdlog::info("there is a forwarder in its slot");
  }
  is_slot_empty_ = is_slot_empty;
}

void KatranWatch::tell(const std::string& group, VipState state) {
  const auto before = states_.find(group);
  const bool is_news = before == states_.end() || before->second != state;
  states_[group] = state;
  if (!is_news) return;
  const std::string vip = to_string(vips_.at(group));
  switch (state) {
    case VipState::kForwards:
      spdlog::info("Katran forwards VIP {} of group {}", vip, group);
      break;
    case VipState::kUnknown:
      spdlog::warn(
          "Katran does not know VIP {} of group {}: its connections get nowhere until it is added "
          "there",
          vip, group);
      break;
    case VipState::kNoReal:
      spdlog::warn("Katran has no real for VIP {} of group {}", vip, group);
      break;
    case VipState::kEmptySlot:
      break;  // said once for all
  }
}

std::optional<VipState> KatranWatch::state_of(const std::string& group) const {
  const auto found = states_.find(group);
  return found == states_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace remora
