// SPDX-License-Identifier: Apache-2.0
//
// A look at the bytes of a configuration before the TOML parser sees them.
//
// Debian's toml++ 3.3 stops the process on a few bytes that no TOML file may
// hold: control characters, and in bare text what is not ASCII. They are refused
// here. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "daemon/config/problem.h"

namespace remora {

// The first byte that no TOML file may hold (TOML 1.0.0, "Spec", "Comment" and
// "Keys"); nothing when there is none.
std::optional<Problem> misplaced_byte(std::string_view text);

}  // namespace remora
