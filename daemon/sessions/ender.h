// SPDX-License-Identifier: Apache-2.0
//
// Ends mispredicted connections: a RST makes the client come back at once, and
// the session at the wrong broker is closed as the client would have done it.
//
// Packets leave without waiting. They do not pass the mqtt stage, which sees only what the
// host receives. The host's own routes lead to the clients, the forwarder's way to brokers.
#pragma once

#include <cstdint>

#include "daemon/base/raw_sender.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/packets/builder.h"

namespace remora {

struct EnderCounts {
  std::uint64_t resets_sent = 0;    // RSTs to clients
  std::uint64_t farewells = 0;      // DISCONNECTs to clients of an evacuated real
  std::uint64_t clean_ends = 0;     // sessions ended with DISCONNECT, then RST
  std::uint64_t reset_ends = 0;     // sessions ended with a RST alone: the Will is published
  std::uint64_t good_bytes = 0;     // delivered in front of mispredicted PUBLISHes
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
  // Tells an MQTT 5 client to come back elsewhere. The kernel resets what it answers.
  void send_client_elsewhere(const Record& record, const Endpoint& service);
  // Makes a client send an ACK. `next`: the sequence number that it sends next.
  void ask_client(const flow_key& flow, const Endpoint& service, std::uint32_t next);
  void end_session(const Record& record, const Endpoint& service, const BrokerWay& way);

  const EnderCounts& counts() const { return counts_; }

 private:
  bool send(const Bytes& packet);
  bool send_to_broker(const Bytes& packet, const flow_key& flow, const BrokerWay& way);
  bool count_sent(bool is_sent, const Address& to);

  Forwarder& forwarder_;
  RawSender sender_;
  std::uint8_t farewell_reason_ = 0;
  SessionEnd session_end_ = SessionEnd::kDisconnect;
  EnderCounts counts_;
};

}  // namespace remora
