// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/deliveries.h"

#include <limits>

namespace remora::router {

std::optional<std::uint16_t> Deliveries::begin(SessionId session, std::uint16_t id) {
  if (const auto known = client_id(session, id)) return known;
  if (origins_.size() == std::numeric_limits<std::uint16_t>::max()) return std::nullopt;
  std::uint16_t chosen = id;
  while (chosen == 0 || origins_.contains(chosen)) chosen = ++last_;
  origins_.emplace(chosen, Origin{session, id});
  client_ids_.emplace(std::pair(session, id), chosen);
  return chosen;
}

std::optional<std::uint16_t> Deliveries::client_id(SessionId session, std::uint16_t id) const {
  const auto found = client_ids_.find({session, id});
  return found == client_ids_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Deliveries::Origin> Deliveries::origin(std::uint16_t client_id) const {
  const auto found = origins_.find(client_id);
  return found == origins_.end() ? std::nullopt : std::optional(found->second);
}

void Deliveries::end(std::uint16_t client_id) {
  const auto found = origins_.find(client_id);
  if (found == origins_.end()) return;
  client_ids_.erase({found->second.session, found->second.id});
  origins_.erase(found);
}

void Deliveries::forget(SessionId session) {
  for (auto& [client_id, origin] : origins_) {
    if (origin.session != session) continue;
    client_ids_.erase({session, origin.id});
    origin.session = 0;
  }
}

}  // namespace remora::router
