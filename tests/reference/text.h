// SPDX-License-Identifier: Apache-2.0
//
// The sentences of keys and counters in the forms that documents need. They are written in
// Markdown: `code` and [text](target).
#pragma once

#include <string>
#include <string_view>

namespace remora::reference {

// The text without the marks of `code` and without the targets of links.
std::string plain(std::string_view markdown);

// For scdoc: `code` in bold, and everything else escaped that scdoc would take for a mark.
std::string for_man(std::string_view markdown);

// Breaks text into lines of at most `columns` bytes, including the `head` that begins each line.
std::string wrapped(std::string_view text, std::string_view head, std::size_t columns);

}  // namespace remora::reference
