// SPDX-License-Identifier: Apache-2.0
//
// Publishes at a fixed rate, whatever the receiver does.
//
// A message is due at its time in a plan that is made before the first one, and carries that time:
// whoever is slow is seen to be slow, also for the messages that had to wait behind others (no
// coordinated omission). Without a rate each connection sends as fast as its socket takes.
//
// One thread: that of the loop.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/load/publishing_client.h"
#include "daemon/base/event_loop.h"

namespace remora::load {

struct Plan {
  Endpoint to{};
  std::vector<Address> sources{};  // of this host, one client after the other; empty: any
  std::uint32_t clients = 10;
  std::uint64_t messages = 10'000;  // of all clients together
  std::uint64_t first = 0;          // those of them that are published before "connected"
  double per_second = 0;            // 0: as fast as the sockets take
  // When the plan begins: once all clients have their CONNACKs; with the first SYN; or when a line
  // on standard input says so, after "connected" was printed.
  enum class Begins { kConnected, kAtOnce, kAsked } begins = Begins::kConnected;
  ClientOptions client{};
  // Client i publishes to topic i only, or to one after the other.
  enum class Topics { kOneEach, kInTurn } topics = Topics::kOneEach;
};

class Publisher {
 public:
  explicit Publisher(Plan plan);

  // Connects all clients, publishes everything, and waits until all is acknowledged and every
  // connection has ended. Shows progress on stderr.
  void run();
  nlohmann::json summary() const;

 private:
  void step();
  bool may_begin();
  void publish_due(std::uint64_t now_ns);
  void publish_bulk();
  void publish(std::uint64_t due_ns);
  void show_progress() const;

  const Plan plan_;
  EventLoop loop_;
  ClientCounts counts_;
  std::vector<std::unique_ptr<PublishingClient>> clients_;
  std::uint64_t began_at_ns_ = 0;
  std::uint64_t ended_at_ns_ = 0;
  std::uint64_t planned_ = 0;  // messages that were handed to clients
};

}  // namespace remora::load
