// SPDX-License-Identifier: Apache-2.0
#include "cli/reals.h"

#include <fmt/core.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/columns.h"

namespace remora {
namespace {

// "alive 12 s", "dead 4 s: no answer within 2 s"; empty if the real is not checked.
std::string health_of(const nlohmann::ordered_json& health) {
  if (health.is_null()) return {};
  std::string text = fmt::format("  {} {} s", health.at("alive").get<bool>() ? "alive" : "dead",
                                 health.at("for_ms").get<std::uint64_t>() / 1000);
  const auto& last = health.at("last");
  if (last.is_null()) return text + ", not checked yet";
  if (last.at("what") == "CONNACK" || last.at("what") == "connected") return text;
  return text + (last.at("good").get<bool>() ? " (" : ": ") + last.at("what").get<std::string>() +
         (last.at("good").get<bool>() ? ")" : "");
}

}  // namespace

void print_reals(std::ostream& out, const nlohmann::ordered_json& reals) {
  const std::size_t group_width = width_of(reals, "group"), real_width = width_of(reals, "real");
  out << fmt::format("{:<{}}{:<{}}{:<10}{:>8}{:>9}{:>12}{:>10}\n", "group", group_width, "real",
                     real_width, "state", "weight", "in ring", "flows", "routed");
  for (const auto& row : reals) {
    const std::string state =
        row.at("evacuated").get<bool>() ? "evacuated" : row.at("state").get<std::string>();
    const auto in_ring = row.at("effective_weight").get<std::uint64_t>();
    out << fmt::format(
        "{:<{}}{:<{}}{:<10}{:>8}{:>9}{:>12}{:>10}{}{}\n", row.at("group").get<std::string>(),
        group_width, row.at("real").get<std::string>(), real_width, state,
        row.at("weight").get<std::uint64_t>(), in_ring, row.at("flows").get<std::uint64_t>(),
        row.value("routed", std::uint64_t{0}), health_of(row.at("health")),
        state != "enabled" && in_ring > 0 ? "  takes new connections: the group has no other" : "");
  }
}

}  // namespace remora
