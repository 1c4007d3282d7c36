// SPDX-License-Identifier: Apache-2.0
//
// The answers to short questions, for people: remoractl explain, groups, routes, services, ready.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string_view>

namespace remora {

// Prints the answer to `request`. Returns false if it is none of these requests.
bool print_view(std::ostream& out, std::string_view request, const nlohmann::ordered_json& answer);

}  // namespace remora
