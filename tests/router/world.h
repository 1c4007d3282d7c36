// SPDX-License-Identifier: Apache-2.0
//
// An engine with a client and brokers around it, without sockets. Bytes move in pieces of any size,
// and buffers are overwritten as soon as the engine must have copied what it needs.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "daemon/router/relay.h"
#include "tests/router/fake_broker.h"

namespace remora {

// Topics "g0/…" to "g9/…" belong to the groups 0 to 9, all others to the default group 0.
router::GroupId group_of_topic(std::string_view topic);

class World {
 public:
  // One session at a broker, as the engine asked for it.
  struct Link {
    router::OpenSession asked;
    bool is_closed = false;  // by the engine
    FakeBroker broker;
  };

  explicit World(const router::Options& options = {});

  // ---- the client
  void send(const Bytes& bytes);
  void hang_up();
  // All packets that the client has received.
  std::vector<PlainPacket> received() const;
  std::vector<int> received_types() const;
  bool is_closed() const { return client_closed; }

  // ---- brokers. Sessions are numbered from 1 on, in the order in which they were asked for.
  Link& link(router::SessionId id) { return links.at(id); }
  FakeBroker& broker(router::SessionId id) { return links.at(id).broker; }
  // The last session of a group; throws if there is none.
  Link& last_of(router::GroupId group);
  void say(router::SessionId id, const Bytes& bytes);
  void die(router::SessionId id);
  // Tells the engine that the session's real is drained.
  void leave(router::SessionId id);
  // Tells it that the real is evacuated. Returns whether the connection has ended.
  bool evict(router::SessionId id);
  // Opens and writes everything at once if true. Otherwise write() does it.
  bool writes_at_once = true;
  // A session is refused as long as this returns true.
  std::function<bool(const router::OpenSession&)> refuses;
  // How the brokers of new sessions behave.
  std::function<void(router::GroupId, FakeBroker&)> set_up;

  // ---- steps
  // Takes at most `most` bytes to the broker; returns their number.
  std::size_t write(router::SessionId id, std::size_t most);
  std::size_t write_to_client(std::size_t most);
  // Hands at most `most` bytes of the broker's answers to the engine; returns their number.
  std::size_t answer(router::SessionId id, std::size_t most);
  // Moves bytes until there are none left to move.
  void run();
  void wait(router::Time time);

  router::Relay& relay() { return relay_; }

  std::map<router::SessionId, Link> links;
  Bytes to_client;
  std::vector<router::Action> actions;  // all so far
  bool client_closed = false;
  router::Time now{0};
  router::Routing routing;

 private:
  static Bytes gathered(const std::vector<mqtt::ByteView>& ranges, std::size_t most);
  // Carries out new actions, as a caller of the engine must do after each step.
  void act();
  // Hands `bytes` in, and overwrites them afterwards.
  template <class Call>
  void hand_in(Bytes bytes, const Call& call);

  router::Options options_;
  router::Relay relay_;
};

}  // namespace remora
