// SPDX-License-Identifier: Apache-2.0
//
// Columns of the tables that people read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace remora {

// Lines of tables for people are at most this wide.
inline constexpr std::size_t kLineWidth = 80;

// Breaks `text` between words so that no line is longer than kLineWidth. The first line begins at
// column `indent`; the others are indented to it.
inline std::string wrapped(std::string_view text, std::size_t indent) {
  const std::size_t room = kLineWidth - indent;
  std::string lines;
  while (text.size() > room) {
    std::size_t cut = text.rfind(' ', room);
    if (cut == std::string_view::npos || cut == 0) cut = text.find(' ', room);
    if (cut == std::string_view::npos) break;
    lines += std::string(text.substr(0, cut)) + "\n" + std::string(indent, ' ');
    text.remove_prefix(cut + 1);
  }
  return lines + std::string(text);
}

// Width of a column that shows `key` of each row: as wide as its longest value needs.
inline std::size_t width_of(const nlohmann::ordered_json& rows, const char* key) {
  constexpr std::size_t kUsual = 16, kGap = 2;
  std::size_t width = kUsual;
  for (const auto& row : rows) {
    width = std::max(width, row.at(key).get<std::string>().size() + kGap);
  }
  return width;
}

// The sum of all members, for instance of PUBLISHes by QoS.
inline std::uint64_t sum_of(const nlohmann::ordered_json& numbers) {
  std::uint64_t sum = 0;
  for (const auto& number : numbers) sum += number.get<std::uint64_t>();
  return sum;
}

}  // namespace remora
