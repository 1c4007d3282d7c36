// SPDX-License-Identifier: Apache-2.0
//
// `remoractl status` for people.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace remora {

// Everything that needs attention in an answer to `remoractl status`; the exit code depends on it.
// Nothing for answers to other requests.
std::vector<std::string> problems_of(const nlohmann::ordered_json& status);

// The counters that are shown.
enum class Shown { kAboveZero, kAll };

// At most 80 columns wide, unless names or addresses are long.
void print_status(std::ostream& out, const nlohmann::ordered_json& status, Shown shown);

}  // namespace remora
