// SPDX-License-Identifier: Apache-2.0
//
// Handles packets of a client: messages go to the group of their topic, all others go home.
#include <utility>

#include "daemon/mqtt/plain_publish.h"
#include "daemon/mqtt/topic_filter.h"
#include "daemon/router/relay.h"

namespace remora::router {

using mqtt::Part;
using mqtt::Publish;
using mqtt::Reason;
using mqtt::Type;

namespace {

// More exchanges than a client has open, even after a long time without a connection.
constexpr std::size_t kQuestions = 1024;

Outgoing::Lifetime lifetime_of(const Part& part) {
  return part.is_input ? Outgoing::Lifetime::kUntilSettled : Outgoing::Lifetime::kThisCall;
}

}  // namespace

void Relay::read_client(ByteView bytes) {
  while (phase_ == Phase::kSession) {
    pass_plain(bytes);
    const auto part = reader_.next(bytes);
    if (!part) break;
    switch (part->kind) {
      case Part::Kind::kPublish:
        publish(*part);
        break;
      case Part::Kind::kPayload:
        payload(*part);
        break;
      case Part::Kind::kPacket:
        packet(*part);
        break;
    }
  }
  if (const std::string_view last = topics_.last(); !last.empty() && last != learned_) learn(last);
  if (const auto problem = reader_.problem()) fail(*problem);
}

// Passes on messages at the front of `bytes` that need no more than a look at their topic: whole
// ones of QoS 0, whose topic the client has published lately, and which their broker takes now.
// Messages that follow one another to the same broker are one range.
void Relay::pass_plain(ByteView& bytes) {
  if (may_move_home_ || !reader_.is_between_packets()) return;
  Session* session = nullptr;
  ByteView rest = bytes;
  const auto pass = [&] {
    if (session != nullptr) session->outbox.append(bytes.first(bytes.size() - rest.size()));
    bytes = rest;
  };
  while (const auto message = mqtt::plain_publish(rest, connect_.version)) {
    const GroupId* group = topics_.find(message->topic);
    if (group == nullptr) break;
    if (session == nullptr || session->group != *group) {
      pass();
      session = active(group_ = *group);
    }
    if (session == nullptr || !session->takes_at_once(rest[0], message->size)) break;
    rest = rest.subspan(message->size);
  }
  pass();
}

// ---- PUBLISH

void Relay::publish(const Part& part) {
  const auto parsed = mqtt::parse_publish(part, connect_.version);
  if (const auto* problem = std::get_if<Reason>(&parsed)) return fail(*problem);
  const auto& message = std::get<Publish>(parsed);
  std::string_view topic = message.topic;
  if (message.alias != 0 && !resolve_alias(message, topic)) return;
  if (!route(topic)) return;

  Session* session = &session_for_message();
  current_id_ = message.id;
  if (message.qos() != 0 && !begin_flight(part, *session)) return;

  current_ = session->id;
  const auto lifetime = lifetime_of(part);
  if (message.alias == 0) {
    keep(part.bytes);
    check(session->publish({part.bytes, part.left, lifetime}));
    return;
  }
  const ByteView first = part.bytes.subspan(part.head);
  const std::size_t whole = first.size() + part.left;
  const Bytes head = mqtt::without_alias(message, topic, whole);
  keep(head);
  keep(first);
  check(session->publish({head, whole}));
  if (phase_ == Phase::kSession) session->more(first, lifetime);
}

// Returns false if the connection has ended instead.
bool Relay::begin_flight(const Part& part, const Session& session) {
  Flight* flight = flights_.begin(current_id_, session.id);
  if (flight == nullptr) {
    // MQTT 3.1 allows repeating a message while the connection lives (MQTT 3.1 §4.2).
    if (flights_.find(current_id_)->session == session.id) {
      current_id_ = 0;
      return true;
    }
    fail(Reason::kPacketIdInUse);
    return false;
  }
  if (flights_.waiting_for_brokers() > told_.receive_maximum) {
    fail(Reason::kReceiveMaximumExceeded);
    return false;
  }
  flight->is_kept = part.bytes.size() + part.left <= options_.longest_kept;
  return true;
}

// Keeps bytes for another broker, in case this one dies.
void Relay::keep(ByteView bytes) {
  if (current_id_ == 0) return;
  Flight* flight = flights_.find(current_id_);
  if (flight != nullptr && flight->is_kept) flights_.keep(*flight, bytes);
}

void Relay::payload(const Part& part) {
  Session* session = find(current_);
  if (session == nullptr) return;  // its broker has died, and the message cannot be sent again
  keep(part.bytes);
  session->more(part.bytes, lifetime_of(part));
}

bool Relay::resolve_alias(const Publish& message, std::string_view& topic) {
  if (has_connack_ && message.alias > told_.topic_alias_maximum) {
    fail(Reason::kTopicAliasInvalid);
    return false;
  }
  if (topic.empty()) {
    topic = aliases_.topic_of(message.alias);
    if (topic.empty()) fail(Reason::kProtocolError);  // MQTT 5.0 §3.3.4
    return !topic.empty();
  }
  aliases_.set(message.alias, topic);
  if (aliases_.bytes() > options_.memory) {
    fail(Reason::kQuotaExceeded);
    return false;
  }
  return true;
}

// Finds the topic's group.
bool Relay::route(std::string_view topic) {
  if (const GroupId* known = topics_.find(topic)) {
    group_ = *known;
    return true;
  }
  if (topic_problem(topic)) {
    fail(Reason::kTopicNameInvalid);
    return false;
  }
  group_ = routing_.group_of(topic);
  topics_.add(topic, group_);
  if (topic != learned_) learn(topic);
  return true;
}

void Relay::learn(std::string_view topic) {
  learned_ = topic;
  actions_.emplace_back(Learn{learned_, group_});
}

void Relay::routes_changed() {
  topics_.clear();
  learned_.clear();
}

// The first message decides where a client has its home, unless it subscribed before.
Session& Relay::session_for_message() {
  const bool may_move = std::exchange(may_move_home_, false);
  if (Session* session = active(group_)) return *session;
  if (!may_move) return open_session(group_, Session::Role::kFurther, {});
  former_home_ = home_;
  Session& session = open_session(group_, Session::Role::kHome, {});
  home_ = session.id;
  return session;
}

// ---- everything else

void Relay::packet(const Part& part) {
  Session& home = *find(home_);
  switch (part.type()) {
    case Type::kSubscribe:
    case Type::kUnsubscribe:
      subscribe(part);
      break;
    case Type::kPuback:
    case Type::kPubrec:
    case Type::kPubcomp:
      acknowledge_delivery(part);
      break;
    case Type::kPubrel:
      release(part);
      break;
    case Type::kPingreq:
      home.ping(Session::Pinger::kClient);
      break;
    case Type::kAuth:
      home.during_connect(part.bytes);
      break;
    case Type::kDisconnect:
      disconnect(part);
      break;
    default:
      fail(Reason::kProtocolError);  // a second CONNECT (MQTT 5.0 §3.1)
      break;
  }
}

void Relay::subscribe(const Part& part) {
  has_subscribed_ = true;
  may_move_home_ = false;
  if (!subscribes_to_all()) {
    find(home_)->in_order(part.bytes);
    return;
  }
  const auto ack = mqtt::parse_ack(part, connect_.version);
  if (!ack) return fail(Reason::kMalformed);
  std::set<SessionId> sessions{home_};
  for (const GroupId group : routing_.groups) {
    Session* session = active(group);
    if (session == nullptr) session = &open_session(group, Session::Role::kFurther, {});
    sessions.insert(session->id);
  }
  for (const SessionId id : sessions) find(id)->in_order(part.bytes);
  subscriptions_.ask(ack->id, part.bytes, sessions);
}

// Passes on the client's acknowledgement of a message that it has got.
void Relay::acknowledge_delivery(const Part& part) {
  if (!subscribes_to_all()) {
    find(home_)->at_once(part.bytes);
    return;
  }
  const auto ack = mqtt::parse_ack(part, connect_.version);
  if (!ack) return fail(Reason::kMalformed);
  const auto origin = deliveries_.origin(ack->id);
  if (!origin) return;
  const bool is_last = part.type() != Type::kPubrec || is_failure(ack->reason);
  if (is_last || origin->session == 0) deliveries_.end(ack->id);
  if (Session* session = find(origin->session)) {
    session->at_once(mqtt::with_id(part, origin->id));
  } else if (part.type() == Type::kPubrec && !is_last) {
    // The message's broker has died, so the router completes the exchange.
    to_client(mqtt::ack_packet(Type::kPubrel, ack->id));
  }
}

void Relay::release(const Part& part) {
  const auto ack = mqtt::parse_ack(part, connect_.version);
  if (!ack) return fail(Reason::kMalformed);
  if (Flight* flight = flights_.find(ack->id)) {
    if (flight->state == Flight::State::kReceived) flight->state = Flight::State::kReleased;
    if (Session* session = find(flight->session)) session->at_once(part.bytes);
    return;
  }
  if (questions_.size() == kQuestions) return fail(Reason::kReceiveMaximumExceeded);
  Question& question = questions_[ack->id];
  for (const auto& session : sessions_) {
    if (session->is_finishing() || session->id == former_home_) continue;
    question.asked.insert(session->id);
    session->at_once(part.bytes);
  }
}

void Relay::disconnect(const Part& part) {
  has_disconnected_ = true;
  find(home_)->in_order(part.bytes);
  phase_ = Phase::kEnding;
  leave_sessions();
}

}  // namespace remora::router
