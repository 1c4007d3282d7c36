// SPDX-License-Identifier: Apache-2.0
//
// `remoractl status` for people.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>

namespace remora {

void print_status(std::ostream& out, const nlohmann::ordered_json& status);

}  // namespace remora
