// SPDX-License-Identifier: Apache-2.0
//
// A routed connection: the engine (relay.h), and its sockets.
//
// Runs on its worker's thread, which it must not outlive.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "daemon/router/lingering.h"
#include "daemon/router/peer.h"
#include "daemon/router/relay.h"
#include "daemon/router/surroundings.h"

namespace remora::router {

// Data that all connections of a worker share.
struct Shared {
  event_base* base;
  const Options& options;
  const Surroundings& surroundings;
  std::span<std::uint8_t> buffer;  // for the bytes of one read; used again by the next
  Lingering& lingering;
  std::size_t memory_limit;  // for all connections together
  std::size_t memory = 0;
};

class Connection {
 public:
  Connection(Shared& shared, Fd client, const Endpoint& at);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void tick();
  // The surroundings have changed: routes, and the reals that sessions must leave.
  void look_around();
  // Ends the connection if its home must leave its real, and cannot move. Returns whether it has.
  bool evict();
  bool is_over() const { return relay_.is_over(); }

 private:
  struct Broker {
    std::unique_ptr<Peer> peer;
    GroupId group;
    Endpoint at;
    Bytes preface;  // to be written before all else
  };

  void read_client();
  void read_broker(SessionId id);
  void broker_is_writable(SessionId id);

  std::vector<std::pair<SessionId, Fate>> fates() const;
  // Call this after every event: carries out the engine's actions, and writes.
  void step();
  void act(const Action& action);
  void open(const OpenSession& attempt);
  bool finish_connecting(const Broker& broker) const;
  void close_broker(SessionId id);
  void close_client();
  void release(std::unique_ptr<Peer> peer);
  void learn(const Learn& lesson);
  void tell_lesson();
  void write_all();
  void set_watches();
  std::size_t allowed(std::size_t room) const;

  Shared& shared_;
  const Endpoint at_;  // the client's
  const Address& address_ = at_.address;
  Relay relay_;
  std::unique_ptr<Peer> client_;
  std::map<SessionId, Broker> brokers_;
  // A peer may still be in its own callback, so the next tick frees it.
  std::vector<std::unique_ptr<Peer>> done_;
  std::optional<Learn> lesson_;  // not reported yet
  std::set<GroupId> groups_told_;
  Time told_at_{};
  std::size_t memory_ = 0;  // part of the memory counted in `shared_`
};

// Milliseconds of the kernel's clock.
Time now_ms();

}  // namespace remora::router
