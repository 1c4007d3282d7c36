// SPDX-License-Identifier: Apache-2.0
#include "daemon/routing/routed_clients.h"

#include <span>

#include "daemon/base/clock.h"

namespace remora {

void RoutedClients::began(const Client& client) {
  ++clients_[client].connections;
}

void RoutedClients::published(const Client& client, const std::string& topic) {
  const auto found = clients_.find(client);
  const TopicMatching& matching = *steering_.matching();
  const auto* service = matching.find(client.first);
  if (found == clients_.end() || service == nullptr) return;
  Known& known = found->second;
  const std::string group(matching.group_for(*service, topic));
  if (!known.group.empty() && group != known.group) {
    known.has_several_groups = true;
    put_way(client, WAY_ROUTER);
  }
  known.topic = topic;
  known.group = group;
  const std::uint64_t now_ns = monotonic_ns();
  history_.record({.at_ms = Clocks().to_unix_ms(now_ns),
                   .service = to_string(client.first),
                   .client = to_string(client.second),
                   .topic = topic,
                   .group = group,
                   .from_group = std::nullopt,
                   .action = Action::routed,
                   .lesson_time = predictions_.clock().at(now_ns)});
}

void RoutedClients::is_other_protocol(const Client& client) {
  put_way(client, WAY_DEFAULT);
}

void RoutedClients::ended(const Client& client) {
  const auto found = clients_.find(client);
  if (found == clients_.end() || --found->second.connections != 0) return;
  teach(client, found->second);
  clients_.erase(found);
}

void RoutedClients::end_all() {
  for (const auto& [client, known] : clients_) teach(client, known);
  clients_.clear();
}

void RoutedClients::teach(const Client& client, const Known& known) const {
  if (known.topic.empty() || known.has_several_groups) return;
  const TopicMatching& matching = *steering_.matching();
  const auto* service = matching.find(client.first);
  if (service == nullptr) return;  // a reload has removed it
  const Lesson lesson{.service = client.first,
                      .client = client.second,
                      .topic = known.topic,
                      .group = std::string(matching.group_for(*service, known.topic)),
                      .time = predictions_.clock().at(monotonic_ns()),
                      .origin = Origin::kDaemon};
  predictions_.merge(matching, std::span(&lesson, 1));
}

void RoutedClients::put_way(const Client& client, way way) const {
  if (const auto number = ids_.service_number(client.first)) {
    maps_.client_ways.put({client.second.abi(), *number, 0},
                          {monotonic_ns(), static_cast<__u32>(way), 0});
  }
}

}  // namespace remora
