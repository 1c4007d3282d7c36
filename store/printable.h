// SPDX-License-Identifier: Apache-2.0
// Decides which bytes can be shown to a person as they are.
#pragma once

#include <string>
#include <string_view>

namespace remora {

// Whether the bytes are valid UTF-8 without control characters.
bool is_printable(std::string_view bytes);

// The bytes in a form for logs: unprintable ones as \xNN, cut to about `most` characters.
std::string printable(std::string_view bytes, std::size_t most = 300);

}  // namespace remora
