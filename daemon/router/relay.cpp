// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/relay.h"

#include <algorithm>
#include <utility>

#include "daemon/mqtt/topic_filter.h"

namespace remora::router {

using mqtt::Beginning;
using mqtt::Reason;

Relay::Relay(const Options& options, const Routing& routing, Time now)
    : options_(options),
      routing_(routing),
      now_(now),
      reader_(mqtt::Sender::kClient, options.longest_packet),
      began_at_(now),
      last_from_client_(now),
      subscriptions_(options.longest_packet) {}

// ---- events

void Relay::from_client(ByteView bytes, Time now) {
  now_ = last_from_client_ = now;
  ended_.clear();
  if (phase_ == Phase::kBeginning) {
    begin(bytes);
  } else if (phase_ == Phase::kSession) {
    read_client(bytes);
  } else if (phase_ == Phase::kRaw) {
    sessions_.front()->outbox.append(bytes);
  }
  finish_step();
}

void Relay::client_closed(Time now) {
  now_ = now;
  ended_.clear();
  if (client_gone_) return;
  client_gone_ = true;
  to_client_.clear();
  deferred_.clear();
  if (phase_ != Phase::kEnding) {
    phase_ = Phase::kEnding;
    leave_sessions();
  }
  finish_step();
}

void Relay::from_broker(SessionId id, ByteView bytes, Time now) {
  now_ = now;
  ended_.clear();
  Session* session = find(id);
  if (session != nullptr && session->role == Session::Role::kRaw) {
    if (!client_gone_) to_client_.append(bytes);
    session = nullptr;
  }
  while (session != nullptr) {
    const auto part = session->reader.next(bytes);
    if (!part) break;
    read_broker(*session, *part);
    session = find(id);
  }
  if (session != nullptr && session->reader.problem()) {
    actions_.emplace_back(CloseSession{id});
    lose(id);
  }
  finish_step();
}

void Relay::broker_closed(SessionId id, Time now) {
  now_ = now;
  ended_.clear();
  if (Session* session = find(id)) {
    if (id == home_ && !has_connack_ && session->was_written) ++session->attempts.closed;
    lose(id);
  }
  finish_step();
}

void Relay::wrote_to_client(std::size_t count, Time now) {
  now_ = now;
  to_client_.wrote(count);
  finish_step();
}

void Relay::wrote_to_broker(SessionId id, std::size_t count, Time now) {
  now_ = now;
  if (Session* session = find(id)) {
    session->outbox.wrote(count);
    session->last_sent_at = now;
    session->was_written |= count != 0;
  }
  finish_step();
}

void Relay::leave(SessionId id, Time now) {
  now_ = now;
  ended_.clear();
  Session* session = find(id);
  if (session != nullptr && !session->leaving_since) session->leaving_since = now;
  finish_step();
}

// Whether nothing is lost or repeated if the connection ends now.
bool Relay::is_quiet() const {
  const auto is_idle = [](const auto& session) {
    return session->is_ready() && session->is_idle();
  };
  return delivering_ == 0 && flights_.size() == 0 && reader_.kept_bytes() == 0 &&
         std::ranges::all_of(sessions_, is_idle);
}

bool Relay::evict(SessionId id, Time now) {
  now_ = now;
  ended_.clear();
  Session* session = find(id);
  const bool must_end = session != nullptr && id == home_ && phase_ == Phase::kSession &&
                        session->leaving_since && !is_replaceable(*session);
  const bool is_late = must_end && now - *session->leaving_since >= options_.linger;
  if (!must_end || !(is_late || is_quiet())) return false;
  if (routing_.farewell && connect_.version == mqtt::Version::k5) {
    to_client(mqtt::disconnect_packet(connect_.version, *routing_.farewell));
  }
  // The client comes back at once, so its Will is not published.
  session->in_order(mqtt::disconnect_packet(connect_.version));
  end_client();
  finish_step();
  return true;
}

void Relay::settle() {
  to_client_.settle(0);
  for (const auto& session : sessions_) session->settle();
}

// ---- results

std::vector<Action> Relay::take_actions() {
  return std::exchange(actions_, {});
}

const std::vector<ByteView>& Relay::for_broker(SessionId id) {
  static const std::vector<ByteView> nothing;
  Session* session = find(id);
  return session == nullptr ? nothing : session->outbox.ranges();
}

// Counts only bytes that brokers can reduce: waiting for the client itself would never end.
std::size_t Relay::client_room() const {
  if (phase_ == Phase::kEnding) return 0;
  if (phase_ == Phase::kBeginning) return options_.longest_connect;
  std::size_t owed = flights_.bytes() + flights_.waiting_for_brokers() * sizeof(Flight);
  for (const auto& session : sessions_) owed += session->backlog();
  return owed < options_.memory ? options_.memory - owed : 0;
}

std::size_t Relay::broker_room() const {
  std::size_t owed = to_client_.owned() + deferred_.size();
  for (const auto& session : sessions_) owed += session->for_client.size();
  return owed < options_.memory ? options_.memory - owed : 0;
}

std::size_t Relay::memory() const {
  std::size_t bytes = sizeof(*this) + connect_bytes_.size() + reader_.kept_bytes() +
                      to_client_.owned() + deferred_.size() + aliases_.bytes() + flights_.bytes() +
                      flights_.size() * sizeof(Flight) + subscriptions_.all().size() +
                      deliveries_.size() * sizeof(Deliveries::Origin);
  for (const auto& session : sessions_) {
    bytes += sizeof(*session) + session->backlog() + session->reader.kept_bytes() +
             session->for_client.size();
  }
  return bytes;
}

// ---- beginning

void Relay::begin(ByteView bytes) {
  connect_bytes_.insert(connect_bytes_.end(), bytes.begin(), bytes.end());
  const Beginning beginning = mqtt::beginning_of(connect_bytes_);
  if (beginning.kind == Beginning::Kind::kOther || beginning.packet > options_.longest_connect) {
    begin_raw(connect_bytes_);
    return;
  }
  if (beginning.kind == Beginning::Kind::kOpen || connect_bytes_.size() < beginning.packet) return;

  const ByteView rest = bytes.last(connect_bytes_.size() - beginning.packet);
  connect_bytes_.resize(beginning.packet);
  if (const auto connect = mqtt::parse_connect(connect_bytes_)) {
    connect_ = *connect;
    begin_session(rest);
    return;
  }
  connect_bytes_.insert(connect_bytes_.end(), rest.begin(), rest.end());
  begin_raw(connect_bytes_);
}

// Passes on a stream that does not begin with a CONNECT: the broker judges it.
void Relay::begin_raw(ByteView bytes) {
  phase_ = Phase::kRaw;
  actions_.emplace_back(NotMqtt{});
  Session& session = open_session(routing_.default_group, Session::Role::kRaw, {});
  session.outbox.append_copy(bytes);
  connect_bytes_ = {};
}

void Relay::begin_session(ByteView rest) {
  phase_ = Phase::kSession;
  reader_.set_version(connect_.version);
  const GroupId group = first_home(rest);
  home_ = open_session(group, Session::Role::kHome, {}).id;
  may_move_home_ = !connect_.is_persistent() && !connect_.has_authentication_method;
  if (connect_.is_persistent()) {
    actions_.emplace_back(RememberHome{std::string(connect_.client_id), group});
  }
  read_client(rest);
}

// Where a persistent session was before. Otherwise a client that does not wait for its CONNACK has
// shown its first topic already.
GroupId Relay::first_home(ByteView rest) const {
  const auto known = routing_.home_of(connect_.client_id);
  if (!known || !connect_.is_persistent()) {
    mqtt::PacketReader ahead(mqtt::Sender::kClient, options_.longest_packet);
    ahead.set_version(connect_.version);
    const auto part = ahead.next(rest);
    if (part && part->kind == mqtt::Part::Kind::kPublish) {
      const auto parsed = mqtt::parse_publish(*part, connect_.version);
      const auto* message = std::get_if<mqtt::Publish>(&parsed);
      if (message != nullptr && !topic_problem(message->topic)) {
        return routing_.group_of(message->topic);
      }
    }
  }
  return known.value_or(routing_.default_group);
}

// ---- end

// Ends the connection for a reason, which the client is told as far as its version allows.
void Relay::fail(Reason reason) {
  if (phase_ == Phase::kEnding) return;
  const bool is_unavailable = reason == Reason::kServerUnavailable;
  const bool is_5 = connect_.version == mqtt::Version::k5;
  if (!has_connack_) {
    if (is_5 || is_unavailable) {
      before_connack(mqtt::connack_refusal(connect_.version, reason));
    }
  } else if (is_5 && delivering_ == 0) {
    // §3.14.2.1: a DISCONNECT has no "server unavailable".
    to_client(
        mqtt::disconnect_packet(connect_.version, is_unavailable ? Reason::kServerBusy : reason));
  }
  end_client();
}

// Sends the client everything that is under way, and closes its connection.
void Relay::end_client() {
  if (phase_ == Phase::kEnding) return;
  phase_ = Phase::kEnding;
  closing_client_ = true;
  leave_sessions();
}

// Brokers still get everything that the client has sent. The home's connection ends without a
// DISCONNECT unless the client has sent one, so that the broker publishes the Will.
void Relay::leave_sessions() {
  linger_until_ = now_ + options_.linger;
  for (const auto& session : sessions_) {
    if (session->is_finishing()) continue;
    const bool is_whole = session->open() == 0;
    if (session->role != Session::Role::kRaw && session->id != home_ && is_whole) {
      session->in_order(mqtt::disconnect_packet(connect_.version));
    }
    session->finish();
  }
}

// Call this after every event: ends the sessions and sockets with nothing left to write.
void Relay::finish_step() {
  if (phase_ == Phase::kSession) move_leaving();
  // A client that has sent DISCONNECT still gets answers until its brokers have closed.
  const bool awaits_brokers = has_disconnected_ && !client_gone_;
  if (awaits_brokers && sessions_.empty()) closing_client_ = true;
  if (closing_client_ && !client_gone_ && to_client_.unwritten() == 0) {
    client_gone_ = true;
    actions_.emplace_back(CloseClient{});
  }
  for (std::size_t i = 0; i < sessions_.size();) {
    const Session& session = *sessions_[i];
    if (session.is_finishing() && session.is_drained() && !awaits_brokers) {
      drop(session.id);
    } else {
      ++i;
    }
  }
  if (phase_ == Phase::kSession && client_room() == 0) {
    if (!stalled_since_) stalled_since_ = now_;
  } else {
    stalled_since_.reset();
  }
}

}  // namespace remora::router
