// SPDX-License-Identifier: Apache-2.0
//
// Handles packets of brokers. The client sees one broker: answers in the order of its messages, one
// CONNACK, and no packet inside another.
#include <utility>

#include "daemon/router/relay.h"

namespace remora::router {

using mqtt::Part;
using mqtt::Reason;
using mqtt::Type;

namespace {

// Whether another broker may accept the client.
bool is_passing(Reason reason) {
  switch (reason) {
    case Reason::kServerUnavailable:
    case Reason::kServerBusy:
    case Reason::kServerShuttingDown:
    case Reason::kAdministrativeAction:
    case Reason::kUseAnotherServer:
    case Reason::kServerMoved:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Relay::read_broker(Session& session, const Part& part) {
  const bool is_home = session.id == home_;
  if (part.kind != Part::Kind::kPacket) {
    deliver(session, part);
    return;
  }
  switch (part.type()) {
    case Type::kConnack:
      accept(session, part);
      break;
    case Type::kPuback:
    case Type::kPubrec:
    case Type::kPubcomp:
      answer(session, part);
      break;
    case Type::kPubrel:
      release_delivery(session, part);
      break;
    case Type::kSuback:
    case Type::kUnsuback:
      if (subscribes_to_all()) {
        const auto all = subscriptions_.answer(session.id, part, connect_.version);
        if (all) to_client(*all);
      } else if (is_home) {
        to_client(part.bytes);
      }
      break;
    case Type::kPingresp:
      if (session.ping_answered() == Session::Pinger::kClient) to_client(part.bytes);
      break;
    case Type::kDisconnect:
      broker_disconnects(session, part);
      break;
    case Type::kAuth:
      if (is_home && has_connack_) {
        to_client(part.bytes);
      } else if (is_home) {
        before_connack(part.bytes);
      } else {
        fail(Reason::kNotAuthorized);  // only the client could answer the broker's question
      }
      break;
    default:
      break;
  }
  if (phase_ == Phase::kSession) retire_former_home();
}

// Delivers a message to the client. With Subscribe::kHome only the home has subscriptions, and
// identifiers stay as they are.
void Relay::deliver(Session& session, const Part& part) {
  if (client_gone_ || (session.id != home_ && !subscribes_to_all())) return;
  const auto lifetime =
      part.is_input ? Outgoing::Lifetime::kUntilSettled : Outgoing::Lifetime::kThisCall;
  const bool is_head = part.kind == Part::Kind::kPublish;
  if (!is_head || !subscribes_to_all() || mqtt::qos_of(part.first_byte) == 0) {
    pass_on(session, part.bytes, part.left, lifetime);
    return;
  }
  const auto parsed = mqtt::parse_publish(part, connect_.version);
  const auto* message = std::get_if<mqtt::Publish>(&parsed);
  const auto id = message == nullptr ? std::nullopt : deliveries_.begin(session.id, message->id);
  if (!id) return fail(Reason::kUnspecified);
  Bytes head(part.bytes.begin(), part.bytes.begin() + std::ptrdiff_t(part.head));
  head[message->id_offset] = static_cast<std::uint8_t>(*id >> 8);
  head[message->id_offset + 1U] = static_cast<std::uint8_t>(*id);
  const ByteView rest = part.bytes.subspan(part.head);
  pass_on(session, head, rest.size() + part.left, Outgoing::Lifetime::kThisCall);
  if (!rest.empty()) pass_on(session, rest, part.left, lifetime);
}

// Sends one message after the other: during one, the messages of other sessions wait.
void Relay::pass_on(Session& session, ByteView bytes, std::size_t lacks,
                    Outgoing::Lifetime lifetime) {
  const bool is_free = delivering_ == 0 || delivering_ == session.id;
  if (!is_free || !has_connack_ || !session.for_client.empty()) {
    session.for_client.append(bytes);
    session.for_client_lacks = lacks;
    return;
  }
  if (lifetime == Outgoing::Lifetime::kUntilSettled) {
    to_client_.append(bytes);
  } else {
    to_client_.append_copy(bytes);
  }
  delivering_ = lacks != 0 ? session.id : 0;
  if (delivering_ == 0) send_deferred();
}

// Call this when the session has ended: sends its waiting messages that are whole.
void Relay::pass_on_rest(Session& session) {
  ByteView waiting = session.for_client.view();
  while (!waiting.empty()) {
    const std::size_t size = mqtt::packet_size(waiting);
    if (size > waiting.size()) break;
    to_client(waiting.first(size));
    waiting = waiting.subspan(size);
  }
  session.for_client.clear();
}

void Relay::release_delivery(const Session& session, const Part& part) {
  if (!subscribes_to_all()) {
    if (session.id == home_) to_client(part.bytes);
    return;
  }
  const auto ack = mqtt::parse_ack(part, connect_.version);
  // An unknown identifier is from an earlier connection, in which it was mostly the broker's, too.
  const auto id = ack ? deliveries_.begin(session.id, ack->id) : std::nullopt;
  if (id) to_client(mqtt::with_id(part, *id));
}

// Sends a whole packet: after the CONNACK (MQTT 5.0 §3.2), and after the message that is being
// sent to the client.
void Relay::to_client(ByteView packet) {
  if (client_gone_) return;
  if (delivering_ != 0 || !has_connack_) {
    deferred_.append(packet);
  } else {
    to_client_.append_copy(packet);
  }
}

void Relay::send_deferred() {
  to_client_.append_copy(deferred_.view());
  deferred_.clear();
  for (const auto& session : sessions_) {
    if (session->for_client.empty()) continue;
    to_client_.append_copy(session->for_client.view());
    session->for_client.clear();
    if (session->for_client_lacks == 0) continue;
    delivering_ = session->id;
    return;
  }
}

// Sends the last packet to a client that waits for its CONNACK, or a packet that precedes that.
void Relay::before_connack(ByteView packet) {
  if (!client_gone_) to_client_.append_copy(packet);
}

// ---- CONNACK

void Relay::accept(Session& session, const Part& part) {
  const auto connack = mqtt::parse_connack(part, connect_.version);
  if (!connack || session.is_ready()) {
    drop(session.id);
    fail(Reason::kServerUnavailable);
    return;
  }
  if (connack->reason != Reason::kSuccess) {
    refuse(session, part, connack->reason);
    return;
  }
  session.ready_at = session.last_sent_at = now_;
  const bool is_expected = phase_ == Phase::kSession || has_disconnected_;
  if (session.id == home_ && !has_connack_ && is_expected) {
    told_ = connack->limits;
    before_connack(part.bytes);
    has_connack_ = true;
    send_deferred();
  }
  check(session.accept(connack->limits));
}

// The home's refusal is also the answer to the client.
void Relay::refuse(Session& session, const Part& part, Reason reason) {
  const SessionId id = session.id;
  const bool is_answer = id == home_ && !has_connack_;
  if (is_passing(reason) || id == former_home_) {
    actions_.emplace_back(CloseSession{id});
    lose(id);
    return;
  }
  if (is_answer) {
    before_connack(part.bytes);
    drop(id);
    end_client();
    return;
  }
  drop(id);
  fail(reason);
}

// ---- acknowledgements

void Relay::answer(Session& session, const Part& part) {
  const auto ack = mqtt::parse_ack(part, connect_.version);
  if (!ack) return;
  if (part.type() == Type::kPubcomp) {
    complete(session, part, *ack);
    return;
  }
  Flight* flight = flights_.find(ack->id);
  const bool is_last = part.type() == Type::kPuback || is_failure(ack->reason);
  if (flight != nullptr && flight->session == session.id &&
      flight->state == Flight::State::kPublished) {
    flights_.answer(*flight, part.bytes, is_last);
    while (const auto next = flights_.next_answer()) to_client(*next);
  }
  if (is_last) check(session.acknowledged());
}

void Relay::complete(Session& session, const Part& part, const mqtt::Ack& ack) {
  Flight* flight = flights_.find(ack.id);
  if (flight != nullptr && flight->session == session.id &&
      flight->state == Flight::State::kReleased) {
    // The broker has replaced the one that had the message, and does not know it.
    const bool is_moved = flight->is_moved;
    const bool is_unknown = is_moved && ack.reason == Reason::kPacketIdNotFound;
    flights_.end(ack.id);
    to_client(is_unknown ? ByteView(mqtt::ack_packet(Type::kPubcomp, ack.id)) : part.bytes);
    if (!is_moved) check(session.acknowledged());
    return;
  }
  const auto asked = questions_.find(ack.id);
  if (asked == questions_.end() || asked->second.asked.erase(session.id) == 0) return;
  Question& question = asked->second;
  question.found |= !is_failure(ack.reason);
  if (!question.asked.empty()) return;
  const Reason reason = question.found ? Reason::kSuccess : Reason::kPacketIdNotFound;
  questions_.erase(asked);
  to_client(mqtt::ack_packet(Type::kPubcomp, ack.id, reason));
}

// ---- DISCONNECT

void Relay::broker_disconnects(Session& session, const Part& part) {
  const SessionId id = session.id;
  const Reason reason = mqtt::reason_of(part);
  if (session.is_finishing() || id == former_home_) return;
  const bool is_home = id == home_;
  const bool moves = is_home ? is_passing(reason) && is_replaceable(session)
                             : is_passing(reason) || reason == Reason::kSessionTakenOver ||
                                   reason == Reason::kKeepAliveTimeout;
  if (moves) {
    actions_.emplace_back(CloseSession{id});
    lose(id);
    return;
  }
  drop(id);
  if (!is_home) {
    fail(reason);
    return;
  }
  if (delivering_ == 0) to_client(part.bytes);
  end_client();
}

}  // namespace remora::router
