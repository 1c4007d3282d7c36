// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/health_rules.h"

#include <algorithm>

#include "daemon/config/check_addresses.h"

namespace remora {
namespace {

// Paho may notice a new connection 1.1 s late, because it waits for its others until then.
constexpr std::uint32_t kLeastForMqtt = 2;

}  // namespace

void check_health_keys(const Section& section, const Health& health) {
  const std::uint32_t timeout_line = section.line_of("timeout_s");
  if (health.timeout_s > health.interval_s)
    section.report("timeout_s", timeout_line,
                   "is " + std::to_string(health.timeout_s) +
                       ", but a check must end before the next one, after interval_s = " +
                       std::to_string(health.interval_s));
  if (health.check == CheckKind::kMqtt && health.timeout_s < kLeastForMqtt)
    section.report("timeout_s", timeout_line,
                   "is " + std::to_string(health.timeout_s) + ", but must be at least " +
                       std::to_string(kLeastForMqtt) +
                       " with check = \"mqtt\", whose answers are noticed up to a second late");
  if (!health.password_file.empty() && health.username.empty())
    section.report("password_file", section.line_of("password_file"),
                   "needs a \"username\" beside it");
}

void check_health(const Config& config, Problems& problems) {
  const Health& health = config.health;
  if (!are_checked(config)) return;
  std::uint64_t reals = 0;
  for (const Group& group : config.groups) reals += group.reals.size();

  for (const Prefix& network : {health.network4, health.network6}) {
    const auto of_family = [&](const Service& service) {
      return service.address.is_ipv4() == network.is_ipv4();
    };
    const std::uint64_t checks =
        reals * static_cast<std::uint64_t>(std::ranges::count_if(config.services, of_family));
    if (checks == 0) continue;
    if (checks + kFirstCheckAddress > network.size())
      problems.add(config.line_of("health"),
                   "\"networks\" of [health]: " + to_string(network) + " is too small for " +
                       std::to_string(checks) +
                       " checks, one for each service and each real of a group; give "
                       "a larger network");
    if (checks > MAX_CHECKS)
      problems.add(config.line_of("health"),
                   "there would be " + std::to_string(checks) +
                       " health checks, one for each service and each real of a "
                       "group, but at most " +
                       std::to_string(MAX_CHECKS) +
                       " are possible; set check = \"off\" in [health]");
    const auto refuse = [&](const Address& address, std::uint32_t line, std::string_view what) {
      if (!network.contains(address)) return;
      problems.add(line, std::string(what) + " " + to_string(address) + " lies in " +
                             to_string(network) +
                             ", where health checks have their private addresses; give them "
                             "another network with \"networks\" in [health]");
    };
    for (const Service& service : config.services)
      refuse(service.address, service.line, "service address");
    for (const Group& group : config.groups) {
      refuse(group.vip, group.line, "vip");
      for (const Real& real : group.reals) refuse(real.address, real.line, "real");
    }
    for (const auto& source : {config.lb.outer_source4, config.lb.outer_source6})
      if (source) refuse(*source, config.line_of("lb", "outer_source"), "outer_source");
  }
}

}  // namespace remora
