// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/idle_limits.h"

#include <algorithm>

namespace remora {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kHourNs = 3600 * kSecondNs;
// Time for the last ACKs to reach their real, and for a condemned client to get its RST.
constexpr std::uint64_t kLingerNs = 60 * kSecondNs;
// Added to the keepalive for delays in a bad network.
constexpr std::uint64_t kGraceNs = 30 * kSecondNs;

}  // namespace

IdleLimits::IdleLimits(const Config& config, const Ids& ids)
    : idle_ns_(config.limits.idle_hours * kHourNs) {
  for (const Service& service : config.services) {
    const auto number = ids.service_number(service.at());
    if (number && service.server_keep_alive != 0)
      server_keep_alives_[*number] = service.server_keep_alive;
  }
}

std::uint64_t IdleLimits::of(std::uint16_t service, const flow& entry) const {
  return entry.state == FLOW_ESTABLISHED ? of_established(service, entry) : kLingerNs;
}

// A client without a keepalive promises nothing.
std::uint64_t IdleLimits::of_established(std::uint16_t service, const flow& entry) const {
  if (entry.keep_alive == 0) return idle_ns_;
  std::uint64_t seconds = entry.keep_alive;
  if (entry.stream.flags & STREAM_MQTT5) {
    const auto found = server_keep_alives_.find(service);
    if (found == server_keep_alives_.end()) return idle_ns_;
    seconds = std::max<std::uint64_t>(seconds, found->second);
  }
  return std::min(idle_ns_, 2 * seconds * kSecondNs + kGraceNs);
}

}  // namespace remora
