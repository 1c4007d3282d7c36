// SPDX-License-Identifier: Apache-2.0
//
// Topic to group in user space, by the same rule as the kernel's match: the
// exact route, else the longest `prefix/#`, else `#`.
//
// Pure. Used to match the topics of the history anew against today's routes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/config.h"

namespace remora {

class RouteTable {
 public:
  RouteTable() = default;
  explicit RouteTable(const std::vector<Route>& routes);

  // The name of the group; nothing where no route matches and the service's
  // default group is meant.
  std::optional<std::string_view> match(std::string_view topic) const;

 private:
  std::unordered_map<std::string, std::string> exact_;
  std::unordered_map<std::string, std::string> prefixes_;
  std::optional<std::string> all_;
};

}  // namespace remora
