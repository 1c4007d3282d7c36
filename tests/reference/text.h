// SPDX-License-Identifier: Apache-2.0
//
// The sentences of keys and counters in the forms that documents need. They are written in
// Markdown: `code` and [text](target).
#pragma once

#include <string>
#include <string_view>

namespace remora::reference {

// `code` without its marks, and of links the text.
std::string plain(std::string_view markdown);

// For scdoc: `code` in bold, and nothing else that it would take for a mark.
std::string for_man(std::string_view markdown);

// Lines of at most `columns` bytes, each with `head` in front, which counts.
std::string wrapped(std::string_view text, std::string_view head, std::size_t columns);

}  // namespace remora::reference
