// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "bpf/parse.h"
#include "cli/doctor/lb_checks.h"

namespace remora::doctor {
namespace {

bool is_routed(const Service& service) {
  return service.unknown_clients == UnknownClients::kRouter;
}

bool is_routed_to(const Config& config) {
  return std::ranges::any_of(config.services, is_routed);
}

Finding judge_way(const RoutedService& service) {
  const About about{"router", "the way to the router for " + to_string(service.at)};
  if (!service.way) return about.unknown(service.way.why_not);
  if (service.way->is_local && service.way->refused == 0) return about.ok("leads into this host");
  return about.error(
      service.way->refused != 0
          ? fmt::format("is refused ({}): unknown clients are not served",
                        std::strerror(service.way->refused))
          : "is missing: another rule comes before that of remorad, or none is there",
      "ip rule show");
}

Finding judge_socket(const RoutedService& service, const Fact<std::vector<Listener>>& listeners) {
  const About about{"router", "its listening socket at " + to_string(service.at)};
  if (!listeners) return about.unknown(listeners.why_not);
  const bool listens = std::ranges::any_of(*listeners, [&](const Listener& listener) {
    return Endpoint::at(listener.address, listener.port) == service.at;
  });
  if (listens) return about.ok("is there");
  return about.error("is missing: unknown clients take the usual way", "systemctl restart remora");
}

Findings judge_brokers(const Fact<std::map<Endpoint, int>>& brokers) {
  const About about{"router", "the brokers at their own addresses"};
  if (!brokers) return {about.unknown(brokers.why_not)};
  Findings found;
  for (const auto& [at, error] : *brokers) {
    if (error == 0) continue;
    found.push_back(About{"router", "the broker at " + to_string(at)}.warning(
        fmt::format("cannot be reached from here ({}), so the router cannot use it: it must listen "
                    "at its own address, too",
                    std::strerror(error)),
        fmt::format("nc -vz {} {}", to_string(at.address), net_to_host16(at.port))));
  }
  if (found.empty()) found.push_back(about.ok("accept connections, all that are not dead"));
  return found;
}

}  // namespace

Findings check_router(const LbFacts& facts) {
  if (!facts.config || !is_routed_to(*facts.config) || !facts.interface) return {};
  Findings found = judge_brokers(facts.brokers);
  if (!facts.daemon.status) return found;
  const auto router = facts.daemon.status->value("router", nlohmann::ordered_json::object());
  for (const RoutedService& service : facts.routed_services) {
    found.push_back(judge_way(service));
    found.push_back(judge_socket(service, facts.listeners));
  }
  if (router.value("stalled", false)) {
    found.push_back(About{"router", "a thread of it"}.error(
        "is stuck: unknown clients take the usual way", "systemctl restart remora"));
  }
  return found;
}

}  // namespace remora::doctor
