// SPDX-License-Identifier: Apache-2.0
//
// A client's messages of QoS 1 and 2 that are under way: the session of each, the bytes that were
// sent, and the answers that must wait for earlier ones.
//
// The first answer to each message, PUBACK or PUBREC, reaches the client in the order of its
// PUBLISHes (MQTT 5.0 §4.6, MQTT 3.1.1 §4.6), whichever broker answers first. Packet identifiers
// are those of the client.
#pragma once

#include <deque>
#include <unordered_map>
#include <vector>

#include "daemon/mqtt/answers.h"
#include "daemon/router/byte_queue.h"
#include "daemon/router/options.h"

namespace remora::router {

struct Flight {
  enum class State {
    kPublished,  // no answer yet
    kAnswered,   // PUBACK or PUBREC waits for answers to earlier messages
    kReceived,   // the client has the PUBREC
    kReleased,   // the client has sent PUBREL
  };

  SessionId session;
  State state = State::kPublished;
  bool is_kept = false;  // `packet` has all bytes that have come so far
  Bytes packet;          // the PUBLISH, for sending it again
  Bytes answer;
  bool ends = false;      // `answer` is the last one
  bool is_moved = false;  // PUBREL goes to another broker than the one that sent PUBREC
};

class Flights {
 public:
  // nullptr if this identifier is in flight already.
  Flight* begin(std::uint16_t id, SessionId session);
  Flight* find(std::uint16_t id);
  void keep(Flight& flight, ByteView bytes);
  // Forgets the kept bytes of a message, which then cannot be sent again.
  void forget(Flight& flight);

  // Takes the broker's first answer to `flight`. It is the last one if it is a PUBACK, or a PUBREC
  // that refuses.
  void answer(Flight& flight, ByteView packet, bool is_last);
  // The next answer that may be sent to the client, in the order of the PUBLISHes.
  std::optional<Bytes> next_answer();

  // Call this after PUBCOMP.
  void end(std::uint16_t id) { flights_.erase(id); }

  // The identifiers of one session's flights that the broker must still answer, in the order of
  // their PUBLISHes.
  std::vector<std::uint16_t> unanswered(SessionId session) const;
  // Moves flights to the session that replaces session `from`.
  void move(SessionId from, SessionId to);

  std::size_t size() const { return flights_.size(); }
  std::size_t waiting_for_brokers() const { return order_.size(); }
  // Bytes of kept messages and answers.
  std::size_t bytes() const { return bytes_; }

 private:
  std::unordered_map<std::uint16_t, Flight> flights_;
  std::deque<std::uint16_t> order_;  // flights whose first answer the client has not got
  std::size_t bytes_ = 0;
};

}  // namespace remora::router
