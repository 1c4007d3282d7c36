// SPDX-License-Identifier: Apache-2.0
//
// Findings for people and for scripts. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string_view>

#include "cli/doctor/finding.h"

namespace remora::doctor {

// 0: nothing is wrong except for warnings; 1: something is; 2: no error was found, but something
// could not be examined.
int exit_code(const Findings& findings);

// "ok", "warning", "error", "unknown".
std::string_view to_string(State state);

// Prints for a terminal of 80 columns; commands have lines of their own and are not cut.
void print_findings(std::ostream& out, const Findings& findings);

nlohmann::ordered_json to_json(const Findings& findings);

}  // namespace remora::doctor
