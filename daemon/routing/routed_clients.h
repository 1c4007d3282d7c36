// SPDX-License-Identifier: Apache-2.0
//
// Learns from routed connections.
//
// A connection teaches when it ends, and only if no other one of its address is left: as long as
// there are several, nothing is known of the next. An address that has published to several groups
// teaches nothing, but is led to the router for a day (`client_ways`).
//
// On the daemon's loop.
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
  // All must outlive it.
  RoutedClients(const Maps& maps, const Ids& ids, const Steering& steering,
                const Predictions& predictions, History& history)
      : maps_(maps), ids_(ids), steering_(steering), predictions_(predictions), history_(history) {}

  using Client = std::pair<Endpoint, Address>;  // the service, and the client's address

  void began(const Client& client);
  // It has published to a topic.
  void published(const Client& client, const std::string& topic);
  // It speaks no MQTT.
  void is_other_protocol(const Client& client);
  void ended(const Client& client);
  // All connections end with the daemon.
  void end_all();

 private:
  struct Known {
    std::uint32_t connections = 0;
    std::string topic;  // the last one; empty: none yet
    std::string group;  // of that topic
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
