// SPDX-License-Identifier: Apache-2.0
//
// Checks the bytes of a configuration before the TOML parser reads them.
//
// Debian's toml++ 3.3 stops the process on a few bytes that a TOML file must not contain: control
// characters, and non-ASCII characters outside strings and comments. They are refused here. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "daemon/config/problem.h"

namespace remora {

// The first byte that a TOML file must not contain (TOML 1.0.0, "Spec", "Comment" and "Keys");
// empty if there is none.
std::optional<Problem> misplaced_byte(std::string_view text);

}  // namespace remora
