// SPDX-License-Identifier: Apache-2.0
//
// A client's messages of QoS 1 and 2 that are on their way: which session each went to, what
// was sent, and the answers that must wait for earlier ones.
//
// The first answer to each message, PUBACK or PUBREC, reaches the client in the order of its
// PUBLISHes (MQTT 5.0 §4.6, MQTT 3.1.1 §4.6), whichever broker answers first. Packet identifiers
// are the client's.
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
    kReleased,   // it has sent PUBREL
  };

  SessionId session;
  State state = State::kPublished;
  bool is_kept = false;  // `packet` is complete as far as it has come
  Bytes packet;          // the PUBLISH, to send it again
  Bytes answer;
  bool ends = false;      // no further answer comes after `answer`
  bool is_moved = false;  // the broker that said PUBREC is not the one that gets PUBREL
};

class Flights {
 public:
  // Nothing if this identifier is in flight already.
  Flight* begin(std::uint16_t id, SessionId session);
  Flight* find(std::uint16_t id);
  void keep(Flight& flight, ByteView bytes);
  // Forgets what was kept of a message; it cannot be sent again.
  void forget(Flight& flight);

  // The broker's first answer to `flight`. It is the last one after a PUBACK, or a PUBREC that
  // says no.
  void answer(Flight& flight, ByteView packet, bool is_last);
  // The next answer that may go to the client, in the order of the PUBLISHes.
  std::optional<Bytes> next_answer();

  // After PUBCOMP.
  void end(std::uint16_t id) { flights_.erase(id); }

  // The identifiers of one session's flights that the broker must still answer, in the order of
  // their PUBLISHes.
  std::vector<std::uint16_t> unanswered(SessionId session) const;
  // Another broker takes the place of the one of session `from`.
  void move(SessionId from, SessionId to);

  std::size_t size() const { return flights_.size(); }
  std::size_t waiting_for_brokers() const { return order_.size(); }
  // Bytes of messages and answers.
  std::size_t bytes() const { return bytes_; }

 private:
  std::unordered_map<std::uint16_t, Flight> flights_;
  std::deque<std::uint16_t> order_;  // without PUBACK or PUBREC at the client
  std::size_t bytes_ = 0;
};

}  // namespace remora::router
