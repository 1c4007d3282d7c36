// SPDX-License-Identifier: Apache-2.0
#include "daemon/route_table.h"

#include "daemon/topic_filter.h"

namespace remora {

RouteTable::RouteTable(const std::vector<Route>& routes) {
  for (const Route& route : routes) {
    switch (kind_of(route.filter)) {
      case FilterKind::kExact:
        exact_[route.filter] = route.group;
        break;
      case FilterKind::kPrefix:
        prefixes_[std::string(prefix_of(route.filter))] = route.group;
        break;
      case FilterKind::kAll:
        all_ = route.group;
        break;
      case FilterKind::kPattern:
        break;  // refused by the configuration's check
    }
  }
}

std::optional<std::string_view> RouteTable::match(std::string_view topic) const {
  if (const auto found = exact_.find(std::string(topic)); found != exact_.end()) {
    return found->second;
  }
  // `a/b/#` matches `a/b` too (MQTT 5.0 §4.7.1.2): begin with the whole topic.
  std::string prefix(topic);
  while (!prefixes_.empty()) {
    if (const auto found = prefixes_.find(prefix); found != prefixes_.end()) return found->second;
    const std::size_t slash = prefix.rfind('/');
    if (slash == std::string::npos) break;
    prefix.resize(slash);
  }
  // A leading wildcard does not match `$`-topics (MQTT 5.0 §4.7.2).
  if (all_ && !topic.starts_with('$')) return *all_;
  return std::nullopt;
}

}  // namespace remora
