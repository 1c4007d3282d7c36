// SPDX-License-Identifier: Apache-2.0
//
// Learns from routed connections.
//
// A connection teaches at its end, and only if its address has no other connection: while there are
// several, the next one cannot be predicted. An address that has published to several groups
// teaches nothing; its connections go to the router for a day (`client_ways`).
//
// Used on the daemon's loop.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "daemon/kernel/ids.h"
#include "daemon/kernel/maps.h"
#include "daemon/steering/predictions.h"
#include "daemon/steering/steering.h"
#include "store/history.h"

namespace remora {

class RoutedClients {
 public:
  // All references must outlive it.
  RoutedClients(const Maps& maps, const Ids& ids, const Steering& steering,
                const Predictions& predictions, History& history)
      : maps_(maps), ids_(ids), steering_(steering), predictions_(predictions), history_(history) {}

  using Client = std::pair<Endpoint, Address>;  // service and client address

  void began(const Client& client);
  // The client has published to a topic.
  void published(const Client& client, const std::string& topic);
  // The client does not speak MQTT.
  void is_other_protocol(const Client& client);
  void ended(const Client& client);
  // Call this at the daemon's end, which ends all connections.
  void end_all();

 private:
  struct Known {
    std::uint32_t connections = 0;
    std::string topic;  // the last topic; empty: none yet
    std::string group;  // the group of that topic
    bool has_several_groups = false;
  };
  void teach(const Client& client, const Known& known) const;
  void put_way(const Client& client, way way) const;

  const Maps& maps_;
  const Ids& ids_;
  const Steering& steering_;
  const Predictions& predictions_;
  History& history_;
  std::map<Client, Known> clients_;
};

}  // namespace remora
