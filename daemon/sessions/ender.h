// SPDX-License-Identifier: Apache-2.0
//
// Ends mispredicted connections: a RST makes the client come back at once, and the session at the
// wrong broker is closed as the client would have done it.
//
// The broker gets DISCONNECT with a closed window, and RSTs once it has had the time to read it.
//
// Packets are sent without waiting, on the loop's thread. They do not pass the mqtt stage, which
// sees only packets that the host receives. Packets for clients follow the host's routes, packets
// for brokers the forwarder's way.
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
  // Sessions whose broker had kEndingNs to handle a DISCONNECT before the RST.
  std::uint64_t clean_ends = 0;
  std::uint64_t reset_ends = 0;     // sessions ended with a RST alone: the Will is published
  std::uint64_t good_bytes = 0;     // delivered before mispredicted PUBLISHes, in clean ends
  std::uint64_t send_failures = 0;  // packets that the kernel refused
};

class Ender {
 public:
  // `forwarder` must outlive it. Throws std::system_error with the remedy if raw sockets are
  // refused.
  Ender(const Config& config, Forwarder& forwarder);

  // Takes up how sessions end and what evacuated clients are told.
  void use(const Config& config);

  void reset_client(const Record& record, const Endpoint& service);
  // Tells a silent MQTT 5 client to come back elsewhere, if the configuration says so; the kernel
  // resets it when it answers. Resets any other client.
  void send_client_elsewhere(const Record& record, const Endpoint& service);
  // Makes a client send an ACK. May be repeated at once. Sends nothing for a flow whose `acked` is
  // unknown.
  void ask_client(const flow_key& key, const Endpoint& service, const flow& entry);
  // Does so without data, for any flow. Linux answers such questions twice a second.
  void ask_client_without_data(const flow_key& key, const Endpoint& service, const flow& entry);
  // Sends DISCONNECT now; step() sends the RSTs. Sends a RST now if DISCONNECT is not possible, or
  // if kMostEndings sessions are ending already.
  void end_session(const Record& record, const Endpoint& service, const BrokerWay& way,
                   std::uint64_t now_ns);
  // Sends a RST now, even if the configuration asks for a clean end.
  void reset_session(const Record& record, const Endpoint& service, const BrokerWay& way);

  // Called often: sends the RSTs that are due. If remorad stops before, the broker's kernel keeps a
  // closed socket for some minutes.
  void step(std::uint64_t now_ns);

  const EnderCounts& counts() const { return counts_; }

  // Time from DISCONNECT to the first RST, and from one RST to the next, so that a broker whose CPU
  // is busy can read.
  static constexpr std::uint64_t kEndingNs = 30'000'000;
  // RSTs for each session: one may get lost, and a broker that has closed waits for its client.
  static constexpr unsigned kResets = 3;
  static constexpr std::size_t kMostEndings = 65536;

 private:
  // A session whose broker has got its DISCONNECT.
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
