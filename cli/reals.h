// SPDX-License-Identifier: Apache-2.0
//
// Reals for people: `remoractl reals`, and part of `remoractl status`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>

namespace remora {

// Prints a table of the rows that the daemon answers with.
void print_reals(std::ostream& out, const nlohmann::ordered_json& reals);

}  // namespace remora
