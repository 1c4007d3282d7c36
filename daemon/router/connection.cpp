// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/connection.h"

#include <algorithm>
#include <utility>

#include "daemon/base/clock.h"
#include "daemon/router/proxy_header.h"

namespace remora::router {
namespace {

// Bytes that a connection may always have, however full the memory is.
constexpr std::size_t kOwnMemory = 16 * 1024;

// Time between two lessons with the same group.
constexpr Time kTellEvery{1'000};

}  // namespace

Time now_ms() {
  return Time(static_cast<Time::rep>(monotonic_ns() / 1'000'000));
}

Connection::Connection(Shared& shared, Fd client, const Endpoint& at)
    : shared_(shared),
      at_(at),
      relay_(shared.options, shared.surroundings.routing, now_ms()),
      client_(std::make_unique<Peer>(
          shared.base, std::move(client), true, [this] { read_client(); }, [this] { step(); })) {
  shared_.surroundings.on_begin(address_);
  set_watches();
}

Connection::~Connection() {
  close_client();
  while (!brokers_.empty()) close_broker(brokers_.begin()->first);
  shared_.memory -= memory_;
}

void Connection::tick() {
  done_.clear();
  relay_.tick(now_ms());
  step();
  if (lesson_ && now_ms() - told_at_ >= kTellEvery) tell_lesson();
}

void Connection::look_around() {
  relay_.routes_changed();
  for (const auto& [id, fate] : fates()) {
    if (fate == Fate::kStay || !brokers_.contains(id)) continue;
    if (fate != Fate::kBreak) {
      relay_.leave(id, now_ms());
      continue;
    }
    close_broker(id);
    relay_.broker_closed(id, now_ms());
  }
  step();
}

bool Connection::evict() {
  bool has_ended = false;
  for (const auto& [id, fate] : fates()) {
    if (fate == Fate::kEvict && brokers_.contains(id)) has_ended |= relay_.evict(id, now_ms());
  }
  if (has_ended) step();
  return has_ended;
}

std::vector<std::pair<SessionId, Fate>> Connection::fates() const {
  std::vector<std::pair<SessionId, Fate>> fates;
  for (const auto& [id, broker] : brokers_) {
    fates.emplace_back(id, shared_.surroundings.fate_of(broker.group, broker.at));
  }
  return fates;
}

// ---- events

void Connection::read_client() {
  const std::size_t room = std::min(allowed(relay_.client_room()), shared_.buffer.size());
  if (room > 0) {
    const auto count = client_->read(shared_.buffer.first(room));
    if (!count) {
      close_client();
      relay_.client_closed(now_ms());
    } else if (*count > 0) {
      relay_.from_client(shared_.buffer.first(*count), now_ms());
    }
  }
  step();
}

void Connection::read_broker(SessionId id) {
  const auto found = brokers_.find(id);
  if (found == brokers_.end()) return;
  const std::size_t room = std::min(allowed(relay_.broker_room()), shared_.buffer.size());
  if (room > 0) {
    const auto count = found->second.peer->read(shared_.buffer.first(room));
    if (!count) {
      close_broker(id);
      relay_.broker_closed(id, now_ms());
    } else if (*count > 0) {
      relay_.from_broker(id, shared_.buffer.first(*count), now_ms());
    }
  }
  step();
}

void Connection::broker_is_writable(SessionId id) {
  const auto found = brokers_.find(id);
  if (found == brokers_.end()) return;
  const Broker& broker = found->second;
  if (!broker.peer->is_open() && !finish_connecting(broker)) {
    close_broker(id);
    relay_.broker_closed(id, now_ms());
  }
  step();
}

// A new connection has room for the preface.
bool Connection::finish_connecting(const Broker& broker) const {
  if (!broker.peer->finish_connecting()) return false;
  if (broker.preface.empty()) return true;
  return broker.peer->write({broker.preface}) == broker.preface.size();
}

// ---- consequences

void Connection::step() {
  while (true) {
    for (const Action& action : relay_.take_actions()) act(action);
    write_all();
    if (!relay_.has_actions()) break;
  }
  relay_.settle();
  const std::size_t memory = relay_.memory();
  shared_.memory += memory - memory_;
  memory_ = memory;
  set_watches();
}

void Connection::act(const Action& action) {
  const Surroundings& surroundings = shared_.surroundings;
  if (const auto* attempt = std::get_if<OpenSession>(&action)) {
    open(*attempt);
  } else if (const auto* closed = std::get_if<CloseSession>(&action)) {
    close_broker(closed->session);
  } else if (std::holds_alternative<CloseClient>(action)) {
    close_client();
  } else if (const auto* lesson = std::get_if<Learn>(&action)) {
    learn(*lesson);
  } else if (const auto* home = std::get_if<RememberHome>(&action)) {
    surroundings.on_home(address_, *home);
  } else {
    surroundings.on_other_protocol(address_);
  }
}

void Connection::open(const OpenSession& attempt) {
  const SessionId id = attempt.session;
  const auto approach = shared_.surroundings.real_for(attempt, address_);
  auto socket = approach ? Peer::connecting(approach->real, approach->source) : std::nullopt;
  if (!socket) {
    relay_.broker_closed(id, now_ms());
    return;
  }
  auto peer = std::make_unique<Peer>(
      shared_.base, std::move(*socket), false, [this, id] { read_broker(id); },
      [this, id] { broker_is_writable(id); });
  Bytes preface = approach->announced ? proxy_header(at_, *approach->announced) : Bytes();
  brokers_.emplace(id, Broker{std::move(peer), attempt.group, approach->real, std::move(preface)});
  shared_.surroundings.on_open(attempt.group, approach->real);
}

void Connection::close_broker(SessionId id) {
  const auto found = brokers_.find(id);
  if (found == brokers_.end()) return;
  Broker broker = std::move(found->second);
  brokers_.erase(found);
  shared_.surroundings.on_close(broker.group, broker.at);
  release(std::move(broker.peer));
}

void Connection::release(std::unique_ptr<Peer> peer) {
  Fd socket = peer->release();
  if (!peer->has_ended()) shared_.lingering.add(std::move(socket), now_ms());
  done_.push_back(std::move(peer));
}

void Connection::close_client() {
  if (!client_) return;
  release(std::move(client_));
  if (lesson_) tell_lesson();
  shared_.surroundings.on_end(address_);
}

void Connection::learn(const Learn& lesson) {
  lesson_ = lesson;
  if (!groups_told_.contains(lesson.group) || now_ms() - told_at_ >= kTellEvery) tell_lesson();
}

void Connection::tell_lesson() {
  groups_told_.insert(lesson_->group);
  told_at_ = now_ms();
  shared_.surroundings.on_lesson(address_, *lesson_);
  lesson_.reset();
}

void Connection::write_all() {
  if (client_ && !relay_.for_client().empty()) {
    const auto count = client_->write(relay_.for_client());
    if (count) {
      relay_.wrote_to_client(*count, now_ms());
    } else {
      close_client();
      relay_.client_closed(now_ms());
    }
  }
  // The engine may drop a session while another one is written.
  std::vector<SessionId> ids;
  for (const auto& [id, broker] : brokers_) ids.push_back(id);
  for (const SessionId id : ids) {
    const auto found = brokers_.find(id);
    if (found == brokers_.end() || !found->second.peer->is_open()) continue;
    const auto& ranges = relay_.for_broker(id);
    if (ranges.empty()) continue;
    const auto count = found->second.peer->write(ranges);
    if (count) {
      relay_.wrote_to_broker(id, *count, now_ms());
    } else {
      close_broker(id);
      relay_.broker_closed(id, now_ms());
    }
  }
}

void Connection::set_watches() {
  if (client_) {
    client_->want(allowed(relay_.client_room()) > 0, !relay_.for_client().empty());
  }
  const bool reads_brokers = allowed(relay_.broker_room()) > 0;
  for (const auto& [id, broker] : brokers_) {
    broker.peer->want(reads_brokers, !relay_.for_broker(id).empty());
  }
}

// Number of bytes that may be read, considering the memory of all connections.
std::size_t Connection::allowed(std::size_t room) const {
  if (shared_.memory < shared_.memory_limit) return room;
  return std::min(room, memory_ < kOwnMemory ? kOwnMemory - memory_ : 0);
}

}  // namespace remora::router
