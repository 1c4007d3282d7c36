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
  // At most `longest` bytes of packets are kept for brokers that take another's place.
  explicit Subscriptions(std::size_t longest) : longest_(longest) {}

  void ask(std::uint16_t id, ByteView packet, const std::set<SessionId>& sessions);
  // A session's SUBACK or UNSUBACK. The client's answer, if it was the last one.
  std::optional<Bytes> answer(SessionId session, const mqtt::Part& part, mqtt::Version version);
  // Another session takes the place of one that has ended: it is told all().
  void move(SessionId from, SessionId to);

  // What the client has sent, in order. Incomplete if it was too much.
  ByteView all() const { return log_; }
  bool is_complete() const { return is_complete_; }

 private:
  struct Pending {
    std::set<SessionId> sessions;  // that have not answered
    Bytes answer;                  // what the others say
  };

  std::size_t longest_;
  Bytes log_;
  bool is_complete_ = true;
  std::map<std::uint16_t, Pending> pending_;
};

}  // namespace remora::router
