// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "cli/doctor/common_checks.h"
#include "cli/doctor/lb_checks.h"

namespace remora::doctor {
namespace {

using json = nlohmann::ordered_json;

std::set<std::uint16_t> ports_of(const Config& config) {
  std::set<std::uint16_t> ports;
  for (const Service& service : config.services) ports.insert(service.port);
  return ports;
}

// A VIP and a port in the notation of Katran's own client.
std::string for_katranc(const Group& group, std::uint16_t port) {
  const std::string vip = to_string(group.vip);
  return (group.vip.is_ipv4() ? vip : "[" + vip + "]") + ":" + std::to_string(port);
}

// Judges how a Katran server handles a group's VIP, according to remorad.
Finding judge_vip(const Config& config, const Group& group, const json& state) {
  const About about{"katran", fmt::format("VIP {} of group {}", to_string(group.vip), group.name)};
  if (!state.is_string()) return about.unknown("remorad has not asked Katran yet");
  const std::string vip = for_katranc(group, *ports_of(config).begin());
  if (state == "forwards") return about.ok("is forwarded");
  if (state == "unknown") {
    return about.error("is not known to Katran at the port of each service: its packets are lost",
                       "katranc -A -t " + vip);
  }
  if (state == "no real") {
    return about.error("has no real in Katran: its packets are lost",
                       "katranc -a -t " + vip + " -r REAL -w 1");
  }
  return about.unknown("Katran cannot be asked: " + state.get<std::string>());
}

}  // namespace

Findings check_katran_object(const LbFacts& facts) {
  if (!facts.config || facts.config->lb.forwarder != ForwarderKind::kKatranObject) return {};
  const std::string file = facts.config->lb.katran_object.string();
  const About about{"katran", "katran_object " + file};
  if (!facts.has_katran_object) return {about.unknown(facts.has_katran_object.why_not)};
  if (*facts.has_katran_object) return {about.ok("is there")};
  return {about.error("is not there: remorad will not start again", "ls -l " + file)};
}

Findings check_katran_vips(const LbFacts& facts) {
  if (!facts.config || facts.config->lb.forwarder != ForwarderKind::kKatranShared) return {};
  if (!facts.daemon.status) return {};  // only remorad can ask Katran
  Findings found;
  const json groups = facts.daemon.status->value("groups", json::array());
  for (const Group& group : facts.config->groups) {
    const auto row = std::ranges::find_if(
        groups, [&](const json& candidate) { return candidate.value("name", "") == group.name; });
    if (row == groups.end()) continue;  // the file is not in force yet
    const json state = row->value("katran", json());
    if (state == "slot empty") continue;  // check_slots() says that
    found.push_back(judge_vip(*facts.config, group, state));
  }
  return found;
}

}  // namespace remora::doctor
