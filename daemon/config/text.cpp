// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/text.h"

#include <array>
#include <cstdio>
#include <string>

namespace remora {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_control(char byte) {
  return (static_cast<unsigned char>(byte) < 0x20 && byte != '\t' && byte != '\n' &&
          byte != '\r') ||
         byte == 0x7f;
}

// A string begins only where a key or a value may begin; elsewhere quotes are a mistake, which the
// parser reports.
bool may_begin_string(char before) {
  return std::string_view("\n=[{,.").find(before) != std::string_view::npos;
}

// How the string that begins at `text[at]` ends.
std::string_view quotes_at(std::string_view text, std::size_t at) {
  for (const std::string_view quotes : {"\"\"\"", "'''", "\"", "'"}) {
    if (text.substr(at).starts_with(quotes)) return quotes;
  }
  return {};
}

}  // namespace

std::optional<Problem> misplaced_byte(std::string_view text) {
  std::string_view quotes;  // the quotes that end the present string; empty: not in a string
  char before = '\n';       // the last byte outside strings and comments, except blanks
  bool in_comment = false;
  std::uint32_t line = 1;
  for (std::size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
       at < text.size(); ++at) {
    const char byte = text[at];
    if (is_control(byte)) {
      std::array<char, 8> hex{};
      std::snprintf(hex.data(), hex.size(), "0x%02x", static_cast<unsigned char>(byte));
      return Problem{line, std::string("this is not TOML: a control character (") + hex.data() +
                               "); remove it"};
    }
    if (byte == '\n') {
      ++line;
      in_comment = false;
      if (quotes.size() == 1) quotes = {};  // the parser reports that it is not closed
      if (quotes.empty()) before = '\n';
    } else if (in_comment) {
      continue;
    } else if (!quotes.empty()) {
      if (byte == '\\' && quotes.front() == '"') {
        if (at + 1 < text.size() && !is_control(text[at + 1]) && text[at + 1] != '\n') ++at;
      } else if (text.substr(at).starts_with(quotes)) {
        at += quotes.size() - 1;
        quotes = {};
      }
    } else if (byte == '#') {
      in_comment = true;
    } else if (static_cast<unsigned char>(byte) >= 0x80) {
      return Problem{line,
                     "this is not TOML: a character that is not ASCII; put it between quotes"};
    } else {
      if (may_begin_string(before)) quotes = quotes_at(text, at);
      if (!quotes.empty()) at += quotes.size() - 1;
      if (byte != ' ' && byte != '\t' && byte != '\r') before = byte;
    }
  }
  return std::nullopt;
}

}  // namespace remora
