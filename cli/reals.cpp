// SPDX-License-Identifier: Apache-2.0
#include "cli/reals.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/columns.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

// "alive 12 s", "dead 4 s: no answer within 2 s"; empty if the real is not checked.
std::string health_of(const json& health) {
  if (health.is_null()) return {};
  std::string text = fmt::format("  {} {} s", health.at("alive").get<bool>() ? "alive" : "dead",
                                 health.at("for_ms").get<std::uint64_t>() / 1000);
  const auto& last = health.at("last");
  if (last.is_null()) return text + ", not checked yet";
  if (last.at("what") == "CONNACK" || last.at("what") == "connected") return text;
  return text + (last.at("good").get<bool>() ? " (" : ": ") + last.at("what").get<std::string>() +
         (last.at("good").get<bool>() ? ")" : "");
}

// "draining (37 left)": with the connections that are left as of the last count.
std::string state_of(const json& row) {
  const auto state = row.at("state").get<std::string>();
  const bool is_evacuated = row.at("evacuated").get<bool>();
  if (state != "draining" && !is_evacuated) return state;
  const auto left = row.at("flows").get<std::uint64_t>() + row.value("routed", std::uint64_t{0});
  if (left == 0) return "drained";
  return fmt::format("{} ({} left)", is_evacuated ? "evacuating" : "draining", left);
}

}  // namespace

void print_reals(std::ostream& out, const json& reals) {
  const std::size_t group_width = width_of(reals, "group"), real_width = width_of(reals, "real");
  std::size_t state_width = 10;
  for (const json& row : reals) state_width = std::max(state_width, state_of(row).size() + 1);
  out << fmt::format("{:<{}}{:<{}}{:<{}}{:>8}{:>9}{:>12}{:>10}\n", "group", group_width, "real",
                     real_width, "state", state_width, "weight", "in ring", "flows", "routed");
  for (const auto& row : reals) {
    const std::string state = state_of(row);
    const auto in_ring = row.at("effective_weight").get<std::uint64_t>();
    out << fmt::format(
        "{:<{}}{:<{}}{:<{}}{:>8}{:>9}{:>12}{:>10}{}{}\n", row.at("group").get<std::string>(),
        group_width, row.at("real").get<std::string>(), real_width, state, state_width,
        row.at("weight").get<std::uint64_t>(), in_ring, row.at("flows").get<std::uint64_t>(),
        row.value("routed", std::uint64_t{0}), health_of(row.at("health")),
        state != "enabled" && in_ring > 0 ? "  takes new connections: the group has no other" : "");
  }
}

}  // namespace remora
