// SPDX-License-Identifier: Apache-2.0
//
// What a changed configuration file has that the running remorad has not. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace remora::doctor {

// The keys of two accepted configurations whose values are not the same: "[lb]
// xdp_mode", "[[group]]". Comments and layout do not count. Throws std::runtime_error
// for what is no TOML.
std::vector<std::string> differing_keys(std::string_view file, std::string_view running);

// Whether remorad takes a change of that key up when it reloads, without a restart.
bool takes_effect_at_reload(std::string_view key);

}  // namespace remora::doctor
