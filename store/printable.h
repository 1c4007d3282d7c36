// SPDX-License-Identifier: Apache-2.0
// Which bytes can be shown to a person as they are.
#pragma once

#include <string>
#include <string_view>

namespace remora {

// Valid UTF-8 without control characters.
bool is_printable(std::string_view bytes);

// The bytes for a log: unprintable ones as \xNN, cut to about `most` characters.
std::string printable(std::string_view bytes, std::size_t most = 300);

}  // namespace remora
