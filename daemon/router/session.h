// SPDX-License-Identifier: Apache-2.0
//
// One MQTT session of a routed client at one broker: the bytes that were sent, those that must
// wait, and the broker's limits.
//
// Packets wait in `waiting` until the broker has accepted the CONNECT, and while it has as many
// messages of QoS 1 and 2 in flight as its Receive Maximum allows (§4.9). They keep their order.
#pragma once

#include <deque>
#include <optional>

#include "daemon/mqtt/answers.h"
#include "daemon/mqtt/packet_reader.h"
#include "daemon/router/options.h"
#include "daemon/router/outbox.h"

namespace remora::router {

// A packet, or the beginning of one.
struct Outgoing {
  // Whether its bytes are valid until the session is settled, or only during the call.
  enum class Lifetime { kUntilSettled, kThisCall };

  ByteView bytes;
  std::size_t left = 0;  // bytes that follow with more()
  Lifetime lifetime = Lifetime::kThisCall;
};

class Session {
 public:
  enum class Role {
    kHome,     // has the client's unchanged CONNECT; everything but PUBLISH goes there
    kFurther,  // clean and without Will, for the topics of its group
    kRaw,      // bytes of an unknown protocol
  };
  // The attempts so far to open a session at this group's reals.
  struct Attempts {
    unsigned count = 0;  // number of failures
    Time first_failure{};
    unsigned closed = 0;  // of these: by a broker, in answer to the client's CONNECT
  };

  Session(SessionId id, GroupId group, Role role, std::size_t longest_packet);

  const SessionId id;
  const GroupId group;
  const Role role;

  // ---- opening
  void begin(ByteView connect, mqtt::Version version);
  // The broker has accepted the CONNECT: sends the waiting packets. This and the following calls
  // return a reason if the broker cannot be asked to take a packet.
  std::optional<mqtt::Reason> accept(const mqtt::BrokerLimits& limits);
  bool is_ready() const { return ready_; }
  const mqtt::BrokerLimits& limits() const { return limits_; }

  // ---- to the broker
  // Whether a whole message of QoS 0 could be put into the outbox now.
  bool takes_at_once(std::uint8_t first_byte, std::size_t size) const {
    return ready_ && waiting_.empty() && size <= limits_.maximum_packet &&
           (limits_.retain_available || !mqtt::is_retained(first_byte));
  }
  std::optional<mqtt::Reason> publish(const Outgoing& packet);
  // Sends more of the payload of the last PUBLISH.
  void more(ByteView payload, Outgoing::Lifetime lifetime);
  void in_order(ByteView packet);
  // Sends a packet ahead of messages that wait for the Receive Maximum, which may depend on it.
  void at_once(ByteView packet);
  // Sends a packet even before the broker's CONNACK.
  void during_connect(ByteView packet) { outbox.append_copy(packet); }
  // Makes a packet wait, whatever the broker allows.
  void postpone(ByteView packet) { waiting_.append(packet); }
  // Number of bytes of the last PUBLISH that have not come yet.
  std::size_t open() const { return open_; }
  // The last postponed packet is a PUBLISH, which goes on with more().
  void reopen(std::size_t left);

  // A message of QoS 1 or 2 has been acknowledged for good.
  std::optional<mqtt::Reason> acknowledged();

  // ---- pings
  enum class Pinger { kClient, kRouter };
  void ping(Pinger pinger);
  // Tells whose ping the broker has answered.
  std::optional<Pinger> ping_answered();
  std::size_t pings_of_client() const;
  bool is_pinged_by_router() const;

  // ---- the end
  // Ends the connection when everything is written.
  void finish() { finishing_ = true; }
  bool is_finishing() const { return finishing_; }
  bool is_drained() const { return waiting_.empty() && outbox.unwritten() == 0; }
  // Whether nothing more is expected from the broker.
  bool is_idle() const { return is_drained() && in_flight_ == 0 && pings_.empty() && open_ == 0; }

  void settle() { outbox.settle(open_is_waiting_ ? 0 : open_); }
  ByteView waiting() const { return waiting_.view(); }
  bool open_is_waiting() const { return open_is_waiting_; }
  std::size_t backlog() const { return waiting_.size() + outbox.owned(); }

  mqtt::PacketReader reader;  // for packets from the broker
  // Messages for the client that wait for the end of another one; the last one may lack bytes.
  ByteQueue for_client;
  std::size_t for_client_lacks = 0;
  Outbox outbox;
  std::uint64_t key = 0;  // chooses the real
  Attempts attempts;
  Time asked_at{};  // when opening it was requested; in the future if it is postponed
  bool is_asked = false;
  Time ready_at{};
  Time last_sent_at{};
  Time pinged_at{};  // last ping by the router
  bool was_written = false;
  std::optional<Time> leaving_since;  // its real is to be left when nothing is under way

 private:
  std::optional<mqtt::Reason> flush();
  std::optional<mqtt::Reason> objection(std::uint8_t first_byte, std::size_t size) const;
  bool has_quota() const { return in_flight_ < limits_.receive_maximum; }

  bool ready_ = false;
  bool finishing_ = false;
  mqtt::BrokerLimits limits_;
  std::size_t in_flight_ = 0;  // messages of QoS 1 and 2
  ByteQueue waiting_;
  std::size_t open_ = 0;
  bool open_is_waiting_ = false;
  std::deque<Pinger> pings_;
};

}  // namespace remora::router
