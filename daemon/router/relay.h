// SPDX-License-Identifier: Apache-2.0
//
// The engine of one routed connection: a client's MQTT stream, and the sessions at brokers to
// which its messages go by their topics. docs/router.md has the states and rules.
//
// Pure: no I/O and no clock. The caller reports each event with the time. Then it carries out
// take_actions(), writes the bytes in the outboxes, and calls settle() before the bytes that it
// passed in change.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/mqtt/connect.h"
#include "daemon/mqtt/packet_reader.h"
#include "daemon/mqtt/publish.h"
#include "daemon/router/actions.h"
#include "daemon/router/aliases.h"
#include "daemon/router/deliveries.h"
#include "daemon/router/flights.h"
#include "daemon/router/options.h"
#include "daemon/router/outbox.h"
#include "daemon/router/recent_topics.h"
#include "daemon/router/session.h"
#include "daemon/router/subscriptions.h"

namespace remora::router {

class Relay {
 public:
  // Both must outlive the relay.
  Relay(const Options& options, const Routing& routing, Time now);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // ---- events
  void from_client(ByteView bytes, Time now);
  // The client has closed its end, or the connection has failed.
  void client_closed(Time now);
  void from_broker(SessionId id, ByteView bytes, Time now);
  // The broker has closed its end, or the connection has failed or could not be opened.
  void broker_closed(SessionId id, Time now);
  void wrote_to_client(std::size_t count, Time now);
  void wrote_to_broker(SessionId id, std::size_t count, Time now);
  void settle();
  // The session should leave its real as soon as nothing is under way. A home with state at its
  // broker stays.
  void leave(SessionId id, Time now);
  // The routes have changed: the next message is judged anew, whatever its topic.
  void routes_changed();
  // To be called again and again for a home that is to leave and cannot: ends the connection if
  // nothing is under way, or after `linger`, so that the client connects anew. Returns whether it
  // has ended.
  bool evict(SessionId id, Time now);
  // Handles timers; call this about once a second.
  void tick(Time now);

  // ---- results
  std::vector<Action> take_actions();
  bool has_actions() const { return !actions_.empty(); }
  // The bytes that wait to be written; valid until the next call of anything above.
  const std::vector<ByteView>& for_client() { return to_client_.ranges(); }
  const std::vector<ByteView>& for_broker(SessionId id);
  // The existing sessions, for writing their bytes.
  const std::vector<std::unique_ptr<Session>>& sessions() const { return sessions_; }

  // Number of bytes that may be read now.
  std::size_t client_room() const;
  std::size_t broker_room() const;

  std::size_t memory() const;
  // Whether the connection has ended completely.
  bool is_over() const { return client_gone_ && sessions_.empty(); }

 private:
  bool subscribes_to_all() const { return options_.subscribe == Subscribe::kAll; }

  enum class Phase {
    kBeginning,  // the CONNECT is not complete
    kSession,    // the stream is MQTT
    kRaw,        // the stream has another protocol
    kEnding,     // the client is not read any more
  };
  // A PUBREL for an unknown message, which was published on an earlier connection.
  struct Question {
    std::set<SessionId> asked;  // those that have not answered
    bool found = false;
  };

  // ---- relay.cpp: beginning and end
  void begin(ByteView bytes);
  void begin_session(ByteView rest);
  void begin_raw(ByteView bytes);
  GroupId first_home(ByteView rest) const;
  void fail(mqtt::Reason reason);
  void end_client();
  void leave_sessions();
  void finish_step();
  bool is_quiet() const;

  // ---- relay_client.cpp: what the client sends
  void read_client(ByteView bytes);
  void pass_plain(ByteView& bytes);
  void publish(const mqtt::Part& part);
  void payload(const mqtt::Part& part);
  void packet(const mqtt::Part& part);
  bool begin_flight(const mqtt::Part& part, const Session& session);
  void keep(ByteView bytes);
  bool resolve_alias(const mqtt::Publish& message, std::string_view& topic);
  bool route(std::string_view topic);
  void learn(std::string_view topic);
  Session& session_for_message();
  void subscribe(const mqtt::Part& part);
  void acknowledge_delivery(const mqtt::Part& part);
  void release(const mqtt::Part& part);
  void disconnect(const mqtt::Part& part);

  // ---- relay_broker.cpp: what brokers send
  void read_broker(Session& session, const mqtt::Part& part);
  void deliver(Session& session, const mqtt::Part& part);
  void pass_on(Session& session, ByteView bytes, std::size_t lacks, Outgoing::Lifetime lifetime);
  void pass_on_rest(Session& session);
  void release_delivery(const Session& session, const mqtt::Part& part);
  void accept(Session& session, const mqtt::Part& part);
  void refuse(Session& session, const mqtt::Part& part, mqtt::Reason reason);
  void answer(Session& session, const mqtt::Part& part);
  void complete(Session& session, const mqtt::Part& part, const mqtt::Ack& ack);
  void broker_disconnects(Session& session, const mqtt::Part& part);
  void to_client(ByteView packet);
  void send_deferred();
  void before_connack(ByteView packet);

  // ---- relay_sessions.cpp: sessions
  Session& open_session(GroupId group, Session::Role role, const Session::Attempts& attempts);
  void ask_for(Session& session);
  Session* find(SessionId id) const;
  Session* active(GroupId group) const;
  std::unique_ptr<Session> extract(SessionId id);
  void drop(SessionId id);
  // A session has ended unexpectedly; another one replaces it if possible.
  void lose(SessionId id);
  bool is_replaceable(const Session& session) const;
  void replace(Session& old);
  // Returns false if something cannot be sent again.
  bool move_packets(Session& old, Session& next);
  void retire_former_home();
  void move_leaving();
  void tick_session(Session& session);
  Time ping_interval(const mqtt::BrokerLimits& limits) const;
  void check(const std::optional<mqtt::Reason>& problem);

  const Options& options_;
  const Routing& routing_;
  Time now_;
  Phase phase_ = Phase::kBeginning;
  std::vector<Action> actions_;

  // The client.
  Bytes connect_bytes_;
  mqtt::Connect connect_{};  // views connect_bytes_
  mqtt::PacketReader reader_;
  Outbox to_client_{Outbox::Unit::kByte};
  ByteQueue deferred_;        // packets for the client that wait for the end of a PUBLISH
  SessionId delivering_ = 0;  // session whose message is being sent to the client; 0: none
  bool has_connack_ = false;
  mqtt::BrokerLimits told_;  // limits in the client's CONNACK
  bool has_subscribed_ = false;
  bool has_disconnected_ = false;
  bool client_gone_ = false;
  bool closing_client_ = false;
  Time began_at_;
  Time last_from_client_;
  std::optional<Time> stalled_since_;
  std::optional<Time> linger_until_;

  // The client's messages.
  Subscriptions subscriptions_;  // this and the next one are used with Subscribe::kAll
  Deliveries deliveries_;
  Aliases aliases_;
  RecentTopics topics_;
  std::string learned_;  // the last topic that the caller was told
  GroupId group_ = 0;    // the group of the last message
  Flights flights_;
  std::map<std::uint16_t, Question> questions_;
  SessionId current_ = 0;         // session that gets the payload that comes; 0: none
  std::uint16_t current_id_ = 0;  // identifier of that message; 0: QoS 0, or not kept

  // Sessions.
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Session>> ended_;  // kept until the next call, for views into them
  SessionId next_id_ = 1;
  SessionId home_ = 0;
  SessionId former_home_ = 0;  // ends when the new home is ready; 0: none
  bool may_move_home_ = false;
};

}  // namespace remora::router
