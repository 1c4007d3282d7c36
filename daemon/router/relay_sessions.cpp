// SPDX-License-Identifier: Apache-2.0
//
// The sessions of a connection: opens them, replaces those whose broker has died, and handles their
// timers.
#include <algorithm>
#include <string>

#include "daemon/mqtt/answers.h"
#include "daemon/router/relay.h"

namespace remora::router {

using mqtt::Reason;
using mqtt::Type;

namespace {

// FNV-1a, so that the same client identifier leads to the same real.
std::uint64_t key_of(std::string_view client_id) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : client_id) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  return client_id.empty() ? 0 : hash;
}

// Whether a packet that one broker did not get is sent to the next one.
bool is_carried_over(Type type) {
  switch (type) {
    case Type::kPublish:
    case Type::kPubrel:
    case Type::kSubscribe:
    case Type::kUnsubscribe:
      return true;
    default:
      return false;
  }
}

// The packet identifier of a PUBLISH of QoS 1 or 2, or of a PUBREL, whose head is complete.
std::uint16_t id_of(ByteView packet) {
  std::size_t at = 1;
  while ((packet[at] & 0x80) != 0) ++at;
  ++at;
  if (mqtt::type_of(packet[0]) == Type::kPublish) {
    at += 2 + (std::size_t{packet[at]} << 8 | packet[at + 1]);
  }
  return static_cast<std::uint16_t>(packet[at] << 8 | packet[at + 1]);
}

}  // namespace

// ---- look-up

Session* Relay::find(SessionId id) const {
  for (const auto& session : sessions_) {
    if (session->id == id) return session.get();
  }
  return nullptr;
}

Session* Relay::active(GroupId group) const {
  for (const auto& session : sessions_) {
    const bool is_open = !session->is_finishing() && session->id != former_home_;
    if (session->group == group && is_open) return session.get();
  }
  return nullptr;
}

std::unique_ptr<Session> Relay::extract(SessionId id) {
  const auto found = std::ranges::find(sessions_, id, [](const auto& it) { return it->id; });
  if (found == sessions_.end()) return nullptr;
  std::unique_ptr<Session> session = std::move(*found);
  sessions_.erase(found);
  return session;
}

// ---- opening

Session& Relay::open_session(GroupId group, Session::Role role, const Session::Attempts& attempts) {
  auto session = std::make_unique<Session>(next_id_++, group, role, options_.longest_packet);
  session->attempts = attempts;
  session->key = key_of(connect_.client_id);
  if (role == Session::Role::kHome) {
    session->begin(connect_bytes_, connect_.version);
  } else if (role == Session::Role::kFurther) {
    std::string client_id(connect_.client_id);
    if (options_.further_sessions == FurtherSessions::kSuffixedId && !client_id.empty()) {
      client_id.append("-").append(routing_.name_of(group));
    }
    session->begin(mqtt::further_connect(connect_, client_id), connect_.version);
  }
  sessions_.push_back(std::move(session));
  Session& opened = *sessions_.back();
  opened.asked_at = now_;
  if (attempts.count < options_.quick_attempts) {
    ask_for(opened);
  } else {
    opened.asked_at += options_.retry;
  }
  return opened;
}

void Relay::ask_for(Session& session) {
  session.is_asked = true;
  session.asked_at = now_;
  actions_.emplace_back(
      OpenSession{session.id, session.group, session.key, session.attempts.count});
}

// ---- ending

void Relay::drop(SessionId id) {
  auto session = extract(id);
  if (!session) return;
  if (session->is_asked) actions_.emplace_back(CloseSession{id});
  ended_.push_back(std::move(session));
}

void Relay::lose(SessionId id) {
  ended_.push_back(extract(id));
  Session& old = *ended_.back();
  old.settle();
  if (id == former_home_) {
    // It had no messages, and at most a ping without an answer.
    former_home_ = 0;
    for (std::size_t i = old.pings_of_client(); i > 0; --i) to_client(mqtt::ping_response());
    return;
  }
  pass_on_rest(old);
  if (old.is_finishing() && old.is_drained()) return;
  if (!is_replaceable(old)) {
    end_client();
    return;
  }
  replace(old);
}

// Another broker does not know subscriptions, kept sessions and exchanges of AUTH. A broker that
// closes instead of a CONNACK has died, or takes the CONNECT for malformed (MQTT 5.0 §4.13): a
// second one is asked, but a stranger's CONNECT must not occupy one after the other.
bool Relay::is_replaceable(const Session& session) const {
  if (session.attempts.closed > 1) return false;
  if (session.role == Session::Role::kRaw) return !session.was_written;
  if (session.id == delivering_) return false;
  const bool has_subscriptions = subscribes_to_all() && has_subscribed_;
  if (session.id != home_) return !has_subscriptions || subscriptions_.is_complete();
  if (connect_.has_authentication_method) return !session.was_written;
  if (!session.is_ready()) return true;
  return !connect_.is_persistent() && !has_subscribed_;
}

void Relay::replace(Session& old) {
  Session::Attempts attempts = old.attempts;
  if (old.is_ready() && now_ - old.ready_at >= options_.stable) attempts = {};
  if (attempts.count++ == 0) attempts.first_failure = now_;
  if (now_ - attempts.first_failure > options_.give_up) {
    fail(Reason::kServerUnavailable);
    return;
  }
  Session& next = open_session(old.group, old.role, attempts);
  if (home_ == old.id) home_ = next.id;
  if (current_ == old.id) current_ = 0;
  if (!move_packets(old, next)) {
    drop(next.id);
    fail(Reason::kServerUnavailable);
    return;
  }
  if (!old.is_finishing()) return;
  const bool says_goodbye = next.id != home_ || has_disconnected_;
  if (next.role != Session::Role::kRaw && says_goodbye && next.open() == 0) {
    next.in_order(mqtt::disconnect_packet(connect_.version));
  }
  next.finish();
}

// Moves packets in the order in which the client sent them: messages that were written but not
// answered, then packets that were not written. A message that is still coming is the last one.
bool Relay::move_packets(Session& old, Session& next) {
  if (old.role == Session::Role::kRaw) {
    next.outbox.append_copy(old.outbox.unsent());
    return true;
  }
  for (std::size_t i = old.pings_of_client(); i > 0; --i) next.ping(Session::Pinger::kClient);
  const bool has_subscriptions = subscribes_to_all() && has_subscribed_;
  if (has_subscriptions) {
    next.postpone(subscriptions_.all());
    subscriptions_.move(old.id, next.id);
    deliveries_.forget(old.id);
  }
  for (auto& [id, question] : questions_) {
    if (question.asked.erase(old.id) == 0) continue;
    question.asked.insert(next.id);
    next.in_order(mqtt::ack_packet(Type::kPubrel, id));
  }

  Bytes unwritten;
  std::set<std::uint16_t> found;  // identifiers of messages in the outbox
  bool is_open_found = old.open_is_waiting();
  const auto collect = [&](ByteView packets) {
    while (!packets.empty()) {
      const std::size_t size = mqtt::packet_size(packets);
      const ByteView packet = packets.first(std::min(size, packets.size()));
      packets = packets.subspan(packet.size());
      const Type type = mqtt::type_of(packet[0]);
      const bool has_id =
          type == Type::kPubrel || (type == Type::kPublish && mqtt::qos_of(packet[0]) != 0);
      const std::uint16_t id = has_id ? id_of(packet) : std::uint16_t{0};
      const bool is_told = type == Type::kSubscribe || type == Type::kUnsubscribe;
      const bool is_asked = type == Type::kPubrel && questions_.contains(id);
      if (!is_carried_over(type) || is_asked || (has_subscriptions && is_told)) continue;
      if (has_id) found.insert(id);
      if (packet.size() < size) is_open_found = true;
      unwritten.insert(unwritten.end(), packet.begin(), packet.end());
    }
  };
  collect(old.outbox.unsent());
  collect(old.waiting());

  for (const std::uint16_t id : flights_.unanswered(old.id)) {
    Flight& flight = *flights_.find(id);
    const bool is_released = flight.state == Flight::State::kReleased;
    if (found.contains(id)) continue;
    if (is_released) {
      next.postpone(mqtt::ack_packet(Type::kPubrel, id));
    } else if (flight.is_kept) {
      next.postpone(flight.packet);
      if (old.open() != 0 && id == current_id_) is_open_found = true;
    } else {
      return false;
    }
  }
  next.postpone(unwritten);
  flights_.move(old.id, next.id);
  if (old.open() != 0 && is_open_found) {
    next.reopen(old.open());
    current_ = next.id;
  }
  return true;
}

// The home has moved to the group of the first message. When the new home is ready, the former one
// ends with a DISCONNECT, so that it does not publish the Will.
void Relay::retire_former_home() {
  Session* former = find(former_home_);
  if (former == nullptr || !former->is_ready() || !former->is_idle()) return;
  const Session* home = find(home_);
  if (home == nullptr || !home->is_ready()) return;
  former->in_order(mqtt::disconnect_packet(connect_.version));
  former->finish();
  former_home_ = 0;
}

// Opens a session with nothing under way at another real. The one that leaves ends with a
// DISCONNECT.
void Relay::move_leaving() {
  std::vector<SessionId> ids;
  for (const auto& session : sessions_) {
    const bool may_leave = session->leaving_since && session->is_ready() && session->is_idle() &&
                           !session->is_finishing() && former_home_ == 0 &&
                           is_replaceable(*session);
    if (may_leave) ids.push_back(session->id);
  }
  for (const SessionId id : ids) {
    Session& old = *find(id);
    Session& next = open_session(old.group, old.role, {});
    move_packets(old, next);
    if (current_ == id) current_ = 0;
    if (home_ == id) {
      home_ = next.id;
      former_home_ = id;
    } else {
      old.in_order(mqtt::disconnect_packet(connect_.version));
      old.finish();
    }
  }
}

// Ends the connection if a broker cannot be asked to take a packet.
void Relay::check(const std::optional<Reason>& problem) {
  if (problem) fail(*problem);
}

// ---- timers

// Half of the keepalive, which leaves time for an answer; 0: no pings are needed. A broker may have
// set another keepalive than the client (§3.2.2.3.14).
Time Relay::ping_interval(const mqtt::BrokerLimits& limits) const {
  return Time(std::uint32_t{limits.keep_alive_s.value_or(connect_.keep_alive_s)} * 500);
}

void Relay::tick(Time now) {
  now_ = now;
  ended_.clear();
  const Time interval = ping_interval(told_);
  if (phase_ == Phase::kBeginning && now - began_at_ >= options_.connect_timeout) {
    end_client();
  } else if (phase_ == Phase::kSession && stalled_since_) {
    if (now - *stalled_since_ >= options_.stall) fail(Reason::kQuotaExceeded);
  } else if (phase_ == Phase::kSession && has_connack_ && interval != Time(0) &&
             now - last_from_client_ > 3 * interval) {
    fail(Reason::kKeepAliveTimeout);  // §3.1.2.10: one and a half times the keep alive
  }
  if (linger_until_ && now >= *linger_until_) {
    if (!client_gone_) actions_.emplace_back(CloseClient{});
    client_gone_ = true;
    while (!sessions_.empty()) drop(sessions_.back()->id);
  }

  std::vector<SessionId> ids;
  for (const auto& session : sessions_) ids.push_back(session->id);
  for (const SessionId id : ids) {
    if (Session* session = find(id)) tick_session(*session);
  }
  finish_step();
}

void Relay::tick_session(Session& session) {
  if (!session.is_asked) {
    if (now_ >= session.asked_at) ask_for(session);
    return;
  }
  if (session.role == Session::Role::kRaw) return;
  const Time interval = ping_interval(session.limits());
  const bool is_late = !session.is_ready() && now_ - session.asked_at >= options_.open_timeout;
  const bool is_dead = session.is_pinged_by_router() && now_ - session.pinged_at > 2 * interval;
  if (is_late || is_dead) {
    actions_.emplace_back(CloseSession{session.id});
    lose(session.id);
    return;
  }
  if (session.is_ready() && !session.is_finishing() && interval != Time(0) && session.open() == 0 &&
      !session.is_pinged_by_router() && now_ - session.last_sent_at >= interval) {
    session.ping(Session::Pinger::kRouter);
    session.pinged_at = now_;
  }
}

}  // namespace remora::router
