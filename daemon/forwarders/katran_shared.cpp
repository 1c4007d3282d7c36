// SPDX-License-Identifier: Apache-2.0
#include "daemon/forwarders/katran_shared.h"

#include <algorithm>
#include <utility>

#include "bpf/parse.h"
#include "log/log.h"

namespace remora {

KatranShared::KatranShared(NamedProgram ask, unsigned interface_index)
    : ask_(std::move(ask)), slot_(ask_.fd, interface_index) {}

void KatranShared::use(const Config& config, const GroupNumbers& /*numbers*/) {
  vips_.clear();
  ports_.clear();
  for (const Group& group : config.groups) vips_[group.name] = group.vip;
  for (const Service& service : config.services) ports_.insert(service.port);
  const auto is_gone = [&](const auto& entry) { return !vips_.contains(entry.first); };
  std::erase_if(states_, is_gone);
  std::erase_if(outer_lengths_, is_gone);
  look();
}

void KatranShared::move_to(unsigned interface_index) {
  slot_ = ForwarderSlot(ask_.fd, interface_index);
}

void KatranShared::look() {
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
    // A VIP without an answer keeps the length that was learned before.
    if (worst.state == VipState::kForwards)
      outer_lengths_[group] = worst.over_ipv6 ? sizeof(ipv6_header) : sizeof(iphdr);
  }
  if (is_slot_empty != is_slot_empty_) {
    if (is_slot_empty)
      log::warn("the forwarder's slot is empty: packets to services are dropped and counted");
    else
      log::info("there is a forwarder in its slot");
  }
  is_slot_empty_ = is_slot_empty;
}

void KatranShared::tell(const std::string& group, VipState state) {
  const auto before = states_.find(group);
  const bool is_news = before == states_.end() || before->second != state;
  states_[group] = state;
  if (!is_news) return;
  const std::string vip = to_string(vips_.at(group));
  switch (state) {
    case VipState::kForwards:
      log::info("Katran forwards VIP {} of group {}", vip, group);
      break;
    case VipState::kUnknown:
      log::warn(
          "Katran does not know VIP {} of group {}: its connections get nowhere until it is added "
          "there",
          vip, group);
      break;
    case VipState::kNoReal:
      log::warn("Katran has no real for VIP {} of group {}", vip, group);
      break;
    case VipState::kEmptySlot:
      break;  // look() logs it once for all groups
  }
}

std::optional<std::uint8_t> KatranShared::outer_length(const std::string& group) const {
  const auto found = outer_lengths_.find(group);
  return found == outer_lengths_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<BrokerWay> KatranShared::way_to(const Address& vip,
                                              const std::optional<Address>& /*real*/) const {
  return BrokerWay{.real = std::nullopt, .vip = vip};
}

bool KatranShared::send(const Bytes& packet, const flow_key& /*flow*/, const BrokerWay& way) {
  return slot_.send(readdressed(packet, way.vip.value()));
}

std::optional<vip_stats> KatranShared::traffic_of(std::uint32_t /*vip_num*/) const {
  return std::nullopt;
}

std::optional<VipState> KatranShared::state_of(const std::string& group) const {
  const auto found = states_.find(group);
  return found == states_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace remora
