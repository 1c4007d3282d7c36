// SPDX-License-Identifier: Apache-2.0
//
// One connection of the load generator.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/stamp.h"
#include "bench/load/tally.h"
#include "daemon/mqtt/packet_reader.h"
#include "daemon/router/peer.h"

namespace remora::load {

struct ClientOptions {
  mqtt::Version version = mqtt::Version::k311;
  int qos = 0;
  std::size_t size = 129;   // bytes of payload
  std::size_t window = 20;  // messages of QoS 1 and 2 that are not acknowledged
  std::vector<std::string> topics = {"load"};
  std::string prefix = "load";  // of client identifiers
};

// Sums over all clients.
struct ClientCounts {
  std::uint64_t connected = 0;  // got a CONNACK
  std::uint64_t sent = 0;       // written to a socket
  std::uint64_t acknowledged = 0;
  std::uint64_t ended = 0;    // as planned
  std::uint64_t failed = 0;   // connections that were refused, closed or reset
  Delays acknowledgements{};  // since the message was due
};

class PublishingClient {
 public:
  // `number` names it in its messages. Both references must outlive it.
  PublishingClient(event_base* base, const ClientOptions& options, ClientCounts& counts,
                   std::uint32_t number, Fd socket);

  bool is_connected() const { return is_connected_; }
  bool is_over() const { return is_over_; }
  // It waits as long as the window is full, or the socket takes no more.
  void publish(const std::string& topic, std::uint64_t due_ns);
  std::size_t backlog() const { return waiting_.size() + out_.size(); }
  // DISCONNECT after the last message has been acknowledged.
  void finish();
  // Writes what there is.
  void write();

 private:
  struct Message {
    const std::string* topic;
    std::uint32_t number;
    std::uint64_t due_ns;
  };

  void read();
  void take(const mqtt::Part& part);
  void send_waiting();
  void send(const Message& message);
  void acknowledged(std::uint16_t id);
  void fail();
  void set_watches();

  const ClientOptions& options_;
  ClientCounts& counts_;
  const std::uint32_t client_;
  router::Peer peer_;
  mqtt::PacketReader reader_;
  router::ByteQueue out_;
  std::deque<Message> waiting_;
  std::deque<std::pair<std::uint16_t, std::uint64_t>> in_flight_;  // identifier, due
  std::uint32_t next_number_ = 0;
  std::uint16_t next_id_ = 1;
  bool is_connected_ = false;
  bool is_finishing_ = false;
  bool is_over_ = false;
};

}  // namespace remora::load
