// SPDX-License-Identifier: Apache-2.0
//
// Columns of the tables that people read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace remora {

// Width of a column that shows `key` of each row: as wide as its longest value needs.
inline std::size_t width_of(const nlohmann::ordered_json& rows, const char* key) {
  constexpr std::size_t kUsual = 16, kGap = 2;
  std::size_t width = kUsual;
  for (const auto& row : rows) {
    width = std::max(width, row.at(key).get<std::string>().size() + kGap);
  }
  return width;
}

}  // namespace remora
