// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/unit_status.h"

#include <fmt/core.h>

namespace remora {

std::string unit_status(const UnitFacts& facts) {
  std::string line;
  for (const std::string& problem : facts.problems)
    if (!problem.empty()) line += "PROBLEM: " + problem + "; ";
  if (facts.is_shadow) line += "SHADOW mode; ";
  line += fmt::format("{} flow{}, config of {} in force", facts.flows, facts.flows == 1 ? "" : "s",
                      facts.config_at);
  if (facts.was_refused) line += " (the last reload was REFUSED)";
  if (facts.dead_reals > 0)
    line += fmt::format(", {} real{} dead", facts.dead_reals, facts.dead_reals == 1 ? "" : "s");
  return line;
}

}  // namespace remora
