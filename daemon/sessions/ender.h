// SPDX-License-Identifier: Apache-2.0
//
// Ends mispredicted connections: a RST makes the client come back at once, and
// the session at the wrong broker is closed as the client would have done it.
//
// The broker gets DISCONNECT with a closed window, and RSTs once it has had the time to read it.
//
// Packets leave without waiting, on the loop's thread. They do not pass the mqtt stage, which sees
// only what the host receives. The host's own routes lead to the clients, the forwarder's way to
// brokers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "daemon/base/raw_sender.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/packets/builder.h"

namespace remora {

struct EnderCounts {
  std::uint64_t resets_sent = 0;  // RSTs to clients
  std::uint64_t farewells = 0;    // DISCONNECTs to clients of an evacuated real
  // Sessions that the broker had kEndingNs to end at a DISCONNECT before the RST.
  std::uint64_t clean_ends = 0;
  std::uint64_t reset_ends = 0;     // sessions ended with a RST alone: the Will is published
  std::uint64_t good_bytes = 0;     // delivered before mispredicted PUBLISHes, in clean ends
  std::uint64_t send_failures = 0;  // packets that the kernel did not take
};

class Ender {
 public:
  // `forwarder` must outlive it. Throws std::system_error with the remedy when raw sockets are
  // refused.
  Ender(const Config& config, Forwarder& forwarder);

  // How sessions end, and what evacuated clients are told.
  void use(const Config& config);

  void reset_client(const Record& record, const Endpoint& service);
  // Tells a silent MQTT 5 client to come back elsewhere, where the configuration says so; the
  // kernel resets it when it answers. Otherwise resets it.
  void send_client_elsewhere(const Record& record, const Endpoint& service);
  // Makes a client send an ACK. May be repeated at once. Nothing is sent for a flow whose `acked`
  // is not known.
  void ask_client(const flow_key& key, const Endpoint& service, const flow& entry);
  // The same by other means, for any flow. Linux answers twice a second.
  void ask_client_without_data(const flow_key& key, const Endpoint& service, const flow& entry);
  // DISCONNECT now, the RSTs from step(). Where DISCONNECT is not possible, or kMostEndings
  // sessions are ending already, a RST now.
  void end_session(const Record& record, const Endpoint& service, const BrokerWay& way,
                   std::uint64_t now_ns);
  // A RST now, even if the configuration asks for a clean end.
  void reset_session(const Record& record, const Endpoint& service, const BrokerWay& way);

  // Called often: sends the RSTs that are due. Those that are not sent any more, because remorad
  // stops, only leave the broker's kernel with a closed socket for some minutes.
  void step(std::uint64_t now_ns);

  const EnderCounts& counts() const { return counts_; }

  // From DISCONNECT to the first RST, and from one RST to the next: time to read for a broker
  // whose CPU is busy.
  static constexpr std::uint64_t kEndingNs = 30'000'000;
  // RSTs for each session: one may get lost, and a broker that has closed waits for its client.
  static constexpr unsigned kResets = 3;
  static constexpr std::size_t kMostEndings = 65536;

 private:
  // A session that has got its DISCONNECT.
  struct Ending {
    std::uint64_t due_ns;
    unsigned resets_left;
    flow_key flow;
    BrokerWay way;
    Bytes reset;
    std::size_t good_bytes;
  };

  void send_reset(Ending& ending);
  bool send(const Bytes& packet);
  bool send_to_broker(const Bytes& packet, const flow_key& flow, const BrokerWay& way);
  bool count_sent(bool is_sent, const Address& to);

  Forwarder& forwarder_;
  RawSender sender_;
  Evacuate evacuate_;
  SessionEnd session_end_ = SessionEnd::kDisconnect;
  std::deque<Ending> endings_;  // the next one due first
  EnderCounts counts_;
};

}  // namespace remora
