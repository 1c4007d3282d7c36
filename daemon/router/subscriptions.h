// SPDX-License-Identifier: Apache-2.0
//
// A client's subscriptions at the brokers of all groups: each SUBSCRIBE and UNSUBSCRIBE goes to all
// of them, and the client gets one answer, with the worst of their codes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "daemon/mqtt/packet_reader.h"
#include "daemon/router/byte_queue.h"
#include "daemon/router/options.h"

namespace remora::router {

class Subscriptions {
 public:
  // Keeps at most `longest` bytes of packets for brokers that replace another one.
  explicit Subscriptions(std::size_t longest) : longest_(longest) {}

  void ask(std::uint16_t id, ByteView packet, const std::set<SessionId>& sessions);
  // Takes a session's SUBACK or UNSUBACK. Returns the client's answer if it was the last one.
  std::optional<Bytes> answer(SessionId session, const mqtt::Part& part, mqtt::Version version);
  // A session replaces one that has ended; it must be sent all().
  void move(SessionId from, SessionId to);

  // All packets of the client, in order. Incomplete if there were too many.
  ByteView all() const { return log_; }
  bool is_complete() const { return is_complete_; }

 private:
  struct Pending {
    std::set<SessionId> sessions;  // those that have not answered
    Bytes answer;                  // combined answer of the others
  };

  std::size_t longest_;
  Bytes log_;
  bool is_complete_ = true;
  std::map<std::uint16_t, Pending> pending_;
};

}  // namespace remora::router
