// SPDX-License-Identifier: Apache-2.0
#include "store/printable.h"

#include <cstddef>

namespace remora {
namespace {

// Length of the UTF-8 sequence at the beginning of `bytes` that encodes a character other than a
// control character; 0 if there is none (RFC 3629 §4, its table).
std::size_t printable_character(std::string_view bytes) {
  const auto byte = [&](std::size_t index) {
    return index < bytes.size() ? static_cast<unsigned char>(bytes[index]) : 0U;
  };
  const auto follows = [&](std::size_t index) { return (byte(index) & 0xc0U) == 0x80U; };
  const unsigned first = byte(0);
  const unsigned second = byte(1);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  if (first < 0xc2 || first > 0xf4 || !follows(1)) return 0;
  if (first == 0xc2 && second < 0xa0) return 0;  // U+0080 to U+009F
  if (first < 0xe0) return 2;
  if (first == 0xe0 && second < 0xa0) return 0;  // overlong
  if (first == 0xed && second > 0x9f) return 0;  // surrogates
  if (!follows(2)) return 0;
  if (first < 0xf0) return 3;
  if (first == 0xf0 && second < 0x90) return 0;  // overlong
  if (first == 0xf4 && second > 0x8f) return 0;  // above U+10FFFF
  return follows(3) ? 4 : 0;
}

}  // namespace

bool is_printable(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = printable_character(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view bytes, std::size_t most) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  while (!bytes.empty() && text.size() < most) {
    const std::size_t length = printable_character(bytes);
    if (length > 0) {
      text += bytes.substr(0, length);
      bytes.remove_prefix(length);
      continue;
    }
    const auto byte = static_cast<unsigned char>(bytes.front());
    text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 0xf]};
    bytes.remove_prefix(1);
  }
  return bytes.empty() ? text : text + "…";
}

}  // namespace remora
