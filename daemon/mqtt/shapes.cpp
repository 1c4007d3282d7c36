// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/shapes.h"

#include <algorithm>

namespace remora {

std::optional<::topic_shape> kernel_shape(std::string_view filter) {
  if (shortest_topic(filter) > MAX_TOPIC) return std::nullopt;
  ::topic_shape shape{};
  for (std::size_t begin = 0; begin <= filter.size();) {
    const std::size_t end = std::min(filter.find('/', begin), filter.size());
    const std::string_view level = filter.substr(begin, end - begin);
    begin = end + 1;
    if (level == "#") {
      shape.rest = 1;
      break;
    }
    if (shape.levels == MAX_LEVELS) return std::nullopt;
    if (level == "+") shape.plus |= 1u << shape.levels;
    ++shape.levels;
  }
  return shape;
}

// A wildcard is a whole level, and `+` matches an empty one (MQTT 5.0 §4.7.1.3). `#`
// matches the parent level, so the slash before it goes too.
std::size_t shortest_topic(std::string_view filter) {
  if (filter == "#") return 1;  // no topic is empty (§4.7.3)
  if (filter.ends_with("/#")) filter.remove_suffix(2);
  const auto wildcards = std::count(filter.begin(), filter.end(), '+');
  return std::max<std::size_t>(filter.size() - static_cast<std::size_t>(wildcards), 1);
}

}  // namespace remora
