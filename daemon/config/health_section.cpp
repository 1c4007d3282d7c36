// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/health_section.h"

#include <algorithm>

#include "daemon/config/check_addresses.h"
#include "daemon/config/checks.h"

namespace remora {
namespace {

constexpr Range kIntervals = {1, 3600};
constexpr Range kTimeouts = {1, 60};
// Paho finds out about a new connection up to 1.1 s late: until then it waits for its others.
constexpr std::uint32_t kLeastForMqtt = 2;
constexpr Range kInARow = {1, 100};

constexpr Word<CheckKind> kChecks[] = {
    {"mqtt", CheckKind::kMqtt}, {"tcp", CheckKind::kTcp}, {"off", CheckKind::kOff}};

// A user name of MQTT (MQTT 3.1.1 §1.5.3).
constexpr std::size_t kLongestText = 65'535;

void read_credentials(const Section& section, Health& health) {
  if (const auto username = section.text("username")) {
    health.username = username->value;
    if (username->value.size() > kLongestText || username->value.find('\0') != std::string::npos)
      section.report("username", username->line, "must be text of at most 65535 bytes without NUL");
  }
  const auto path = section.text("password_file");
  if (!path || path->value.empty()) return;
  health.password_file = path->value;
  health.password_file_line = path->line;
  if (const auto problem = path_problem(path->value))
    section.report("password_file", path->line, *problem);
  if (health.username.empty())
    section.report("password_file", path->line, "needs a \"username\" beside it");
}

// One of each family at most; what is not given stays.
void read_networks(const Section& section, Health& health) {
  bool has_ipv4 = false, has_ipv6 = false;
  for (const auto& [text, line] : section.texts("networks")) {
    const auto network = Prefix::parse(text);
    if (!network) {
      section.report("networks", line,
                     "is " + in_quotes(text) +
                         ", but must be a network with its prefix length, and nothing behind the "
                         "prefix");
      continue;
    }
    const Address& first = network->first();
    if (first.is_unspecified() || first.is_loopback() || first.is_multicast() ||
        first.is_link_local()) {
      section.report("networks", line,
                     "is " + in_quotes(text) +
                         ", but must be a network of hosts' own addresses which nobody uses");
    }
    bool& has = network->is_ipv4() ? has_ipv4 : has_ipv6;
    if (has) section.report("networks", line, "must be one network of each family at most");
    has = true;
    (network->is_ipv4() ? health.network4 : health.network6) = *network;
  }
}

}  // namespace

Health read_health(const Section& section) {
  Health health;
  health.line = section.line();
  const auto number = [&](std::string_view key, Range range, std::uint32_t& value) {
    const auto found = section.number(key, range);
    if (found) value = found->value;
    return found ? found->line : health.line;
  };
  if (const auto check = section.word("check", kChecks)) health.check = *check;
  number("interval_s", kIntervals, health.interval_s);
  const std::uint32_t timeout_line = number("timeout_s", kTimeouts, health.timeout_s);
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
  number("rise", kInARow, health.rise);
  number("fall", kInARow, health.fall);
  if (const auto prefix = section.text("client_id")) {
    health.client_id = prefix->value;
    if (const auto problem = name_problem(prefix->value))
      section.report("client_id", prefix->line, *problem);
  }
  read_credentials(section, health);
  read_networks(section, health);
  return health;
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
      problems.add(health.line, "\"networks\" of [health]: " + to_string(network) +
                                    " is too small for " + std::to_string(checks) +
                                    " checks, one for each service and each real of a group; give "
                                    "a larger network");
    if (checks > MAX_CHECKS)
      problems.add(health.line, "there would be " + std::to_string(checks) +
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
      if (source) refuse(*source, config.lb.interface_line, "outer_source");
  }
}

std::string_view to_string(CheckKind kind) {
  for (const Word<CheckKind>& candidate : kChecks)
    if (candidate.value == kind) return candidate.word;
  return "unknown";
}

}  // namespace remora
