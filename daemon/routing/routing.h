// SPDX-License-Identifier: Apache-2.0
//
// Connects the router with the rest of the daemon: its listening sockets and the routes to them,
// the present reals for its sessions, the lessons from it, and the number of connections that the
// packet path may pass up.
//
// Each service that sends unknown clients to the router has its own listening socket and workers,
// from its first such configuration until the daemon ends.
//
// Used on the daemon's loop, except where the header of Surroundings says otherwise.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/router/worker.h"
#include "daemon/routing/homes.h"
#include "daemon/routing/mailbox.h"
#include "daemon/routing/real_choice.h"
#include "daemon/routing/routed_clients.h"
#include "daemon/sessions/evacuation.h"

namespace remora {

class Routing {
 public:
  struct Parts {
    EventLoop& loop;
    const Maps& maps;
    const Ids& ids;
    const Steering& steering;
    const Predictions& predictions;
    const Evacuation& evacuation;
    History& history;
  };
  // All references must outlive it.
  Routing(const Parts& parts, unsigned interface_index);
  ~Routing();
  Routing(const Routing&) = delete;
  Routing& operator=(const Routing&) = delete;

  // Takes up a configuration, at the start and at a reload, once steering has applied it. Throws
  // std::runtime_error with the remedy.
  void use(const Config& config);
  // Call this a few times a second: tells the packet path how much room the router has, and the
  // workers which reals there are.
  void step();
  // Restores the routes into this host's stack if somebody has removed them.
  void look();
  void move_to(unsigned interface_index);

  // Whether it listens and its workers are alive.
  bool is_open() const { return !doors_.empty() && is_alive(); }
  // It listens, but a worker is stuck: unknown clients take the usual way.
  bool is_stalled() const { return !doors_.empty() && !is_alive(); }

  struct Counts {
    std::uint64_t accepted = 0;
    std::uint64_t turned_away = 0;
    std::size_t connections = 0;  // at present
    std::size_t memory = 0;       // bytes, at present
  };
  Counts counts() const;
  // Number of sessions of routed clients at a real of a group, at present.
  std::uint64_t sessions_at(std::uint16_t group, const Address& real) const;

 private:
  // The parts of the configuration and the reals that a worker's thread needs. Never changed.
  struct View {
    std::shared_ptr<const TopicMatching> matching;
    Endpoint service;
    router::GroupId default_group = 0;
    std::map<router::GroupId, std::string> names;
    RealChoices reals;
    RealChoices dead;  // their sessions are broken off
    RealChoices evacuated;
    std::uint32_t evictions_per_second = 0;
    std::vector<Address> sources;
    std::optional<mqtt::Reason> farewell;

    // What may change without a reload.
    bool has_same_reals(const View& other) const;
    router::GroupId group_of(std::string_view topic) const;
    std::optional<router::Approach> approach(const router::OpenSession& attempt,
                                             const Address& client) const;
    router::Fate fate_of(router::GroupId group, const Endpoint& real) const;
  };
  struct Door {
    Homes homes{kHomes};
    std::shared_ptr<const View> view;
    std::vector<std::unique_ptr<router::Worker>> workers;
  };
  static constexpr std::size_t kHomes = 100'000;

  std::shared_ptr<const View> view_of(const Service& service) const;
  void open(const Service& service);
  void recall_homes(Door& door, const Endpoint& at);
  router::Surroundings surroundings_for(Door& door, const Endpoint& at);
  void update(Door& door, std::shared_ptr<const View> view);
  bool is_alive() const;

  const Parts parts_;
  unsigned interface_index_;
  Config config_;
  router::Options options_;
  Mailbox mailbox_;
  RoutedClients clients_;
  mutable std::mutex mutex_;
  std::map<std::pair<router::GroupId, Address>, std::uint64_t> sessions_;  // guarded by the mutex
  std::map<Endpoint, Door> doors_;  // last, because their workers use all of the above
};

}  // namespace remora
