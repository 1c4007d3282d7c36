// SPDX-License-Identifier: Apache-2.0
//
// The compiled routes: the entries of the kernel's tables, and the group of a topic in user space
// by the same rule and the same functions (bpf/topic.h).
//
// Pure. In user space matching has no limits: it is for topics of the history, and for those that
// the kernel does not judge.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bpf/abi.h"
#include "bpf/topic.h"
#include "daemon/mqtt/route.h"

namespace remora {

class RouteTable {
 public:
  // An entry of the kernel's `routes`.
  struct KernelRoute {
    std::uint64_t hash;
    std::uint32_t shape;
    std::string_view group;
  };

  RouteTable() = default;
  // The filters must be valid and have at most MAX_SHAPES shapes, which the configuration's check
  // ensures; throws std::length_error. `keys` are those of the kernel's hashes.
  RouteTable(std::vector<Route> routes, const ::topic_keys& keys);

  // The name of the group to which a valid topic of any length belongs; no value if no route
  // matches, so that the service's default group counts.
  std::optional<std::string_view> match(std::string_view topic) const;

  // The shapes for the kernel. Names live as long as the table.
  const ::shape_set& shapes() const { return shapes_; }
  std::vector<KernelRoute> kernel_routes() const;

 private:
  using Index = std::uint32_t;  // of a route; a lower index is more specific

  struct Seen {
    std::uint64_t hash;
    std::uint32_t shape;
    bool operator==(const Seen&) const = default;
  };
  struct HashOfSeen {
    std::size_t operator()(const Seen& seen) const { return seen.hash ^ seen.shape; }
  };

  ::topic_levels split(std::string_view text, std::uint32_t reach) const;
  Index match_shapes(std::string_view topic) const;

  ::topic_keys keys_{};
  ::shape_set shapes_{};
  std::vector<Route> routes_;  // the most specific first
  std::unordered_map<std::string, Index> exact_;
  std::unordered_map<Seen, Index, HashOfSeen> by_shape_;
  std::vector<Index> beyond_;  // filters with wildcards that the kernel cannot match
};

}  // namespace remora
