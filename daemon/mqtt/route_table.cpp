// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/route_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "daemon/mqtt/shapes.h"
#include "daemon/mqtt/topic_filter.h"

namespace remora {
namespace {

bool is_same(const ::topic_shape& left, const ::topic_shape& right) {
  return left.plus == right.plus && left.levels == right.levels && left.rest == right.rest;
}

// Lets may_name() find the filter with these levels.
void add_name(::topic_shape& shape, const ::topic_levels& levels) {
  const std::uint32_t all = shape.levels == 0 ? 0 : ~0U >> (32 - shape.levels);
  const std::uint32_t literal = all & ~shape.plus;
  if (literal == 0) {
    shape.names = ~std::uint64_t{0};
    return;
  }
  shape.named = static_cast<__u8>(std::bit_width(literal) - 1);
  shape.names |= name_bit(levels.hash[shape.named]);
}

std::uint64_t window_at(std::string_view text, std::size_t offset) {
  std::uint64_t window = 0;
  const std::string_view bytes = text.substr(offset, sizeof(window));
  std::memcpy(&window, bytes.data(), bytes.size());
  return window;
}

}  // namespace

RouteTable::RouteTable(std::vector<Route> routes, const ::topic_keys& keys)
    : keys_(keys), routes_(std::move(routes)) {
  // Brings filters of the same shape together.
  std::ranges::stable_sort(routes_, is_more_specific, &Route::filter);
  std::uint32_t reach = 0;
  for (Index i = 0; i < routes_.size(); ++i) {
    const std::string& filter = routes_[i].filter;
    if (!has_wildcard(filter)) {
      exact_.emplace(filter, i);
      continue;
    }
    const auto shape = kernel_shape(filter);
    if (!shape) {
      beyond_.push_back(i);
      if (shortest_topic(filter) <= MAX_TOPIC) shapes_.deep = 1;
      continue;
    }
    if (shapes_.count == 0 || !is_same(shapes_.shapes[shapes_.count - 1], *shape)) {
      if (shapes_.count == MAX_SHAPES) throw std::length_error("too many shapes of filters");
      shapes_.shapes[shapes_.count++] = *shape;
    }
    const ::topic_levels levels = split(filter, shape->levels);
    add_name(shapes_.shapes[shapes_.count - 1], levels);
    by_shape_.emplace(Seen{shape_hash(&keys_, &*shape, &levels), shapes_.count}, i);
    reach = std::max({reach, std::uint32_t{shape->levels}, 1u});
  }
  shapes_.reach = static_cast<__u16>(shapes_.deep != 0 ? MAX_LEVELS : reach);
}

std::optional<std::string_view> RouteTable::match(std::string_view topic) const {
  if (const auto found = exact_.find(std::string(topic)); found != exact_.end()) {
    return routes_[found->second].group;
  }
  Index best = match_shapes(topic);
  for (const Index i : beyond_) {
    if (i > best) break;
    if (filter_matches(routes_[i].filter, topic)) best = i;
  }
  if (best == routes_.size()) return std::nullopt;
  return routes_[best].group;
}

std::vector<RouteTable::KernelRoute> RouteTable::kernel_routes() const {
  std::vector<KernelRoute> all;
  all.reserve(exact_.size() + by_shape_.size());
  for (const auto& [topic, i] : exact_) {
    if (topic.size() > MAX_TOPIC) continue;
    std::array<__u64, TOPIC_ROOM> words{};
    topic.copy(reinterpret_cast<char*>(words.data()), topic.size());
    const auto len = static_cast<__u32>(topic.size());
    all.push_back({topic_hash(&keys_, words.data(), len), EXACT_ROUTE, routes_[i].group});
  }
  for (const auto& [seen, i] : by_shape_) {
    all.push_back({seen.hash, seen.shape, routes_[i].group});
  }
  return all;
}

::topic_levels RouteTable::split(std::string_view text, std::uint32_t reach) const {
  ::topic_levels levels{};
  level_begin(&keys_, &levels);
  const auto len = static_cast<__u32>(text.size());
  while (level_step(&keys_, &levels, window_at(text, levels.at), len, reach) == 0) {
  }
  return levels;
}

// The same as the kernel's match_shapes(). Returns the number of routes if none matches.
RouteTable::Index RouteTable::match_shapes(std::string_view topic) const {
  if (shapes_.count != 0) {
    const ::topic_levels levels = split(topic, shapes_.reach);
    for (std::uint32_t i = 0; i < shapes_.count; ++i) {
      const ::topic_shape& shape = shapes_.shapes[i];
      if (!shape_fits(&shape, levels.count, topic.starts_with('$')) || !may_name(&shape, &levels)) {
        continue;
      }
      const auto found = by_shape_.find({shape_hash(&keys_, &shape, &levels), i + 1});
      if (found != by_shape_.end()) return found->second;
    }
  }
  return static_cast<Index>(routes_.size());
}

}  // namespace remora
