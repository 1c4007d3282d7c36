// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/flights.h"

#include <algorithm>
#include <utility>

namespace remora::router {

Flight* Flights::begin(std::uint16_t id, SessionId session) {
  const auto [place, is_new] = flights_.try_emplace(id);
  if (!is_new) return nullptr;
  place->second.session = session;
  order_.push_back(id);
  return &place->second;
}

Flight* Flights::find(std::uint16_t id) {
  const auto found = flights_.find(id);
  return found == flights_.end() ? nullptr : &found->second;
}

void Flights::keep(Flight& flight, ByteView bytes) {
  flight.packet.insert(flight.packet.end(), bytes.begin(), bytes.end());
  bytes_ += bytes.size();
}

void Flights::forget(Flight& flight) {
  bytes_ -= flight.packet.size();
  flight.packet = {};
  flight.is_kept = false;
}

void Flights::answer(Flight& flight, ByteView packet, bool is_last) {
  forget(flight);
  flight.state = Flight::State::kAnswered;
  flight.answer.assign(packet.begin(), packet.end());
  flight.ends = is_last;
  bytes_ += packet.size();
}

std::optional<Bytes> Flights::next_answer() {
  if (order_.empty()) return std::nullopt;
  const auto found = flights_.find(order_.front());
  Flight& flight = found->second;
  if (flight.state != Flight::State::kAnswered) return std::nullopt;
  order_.pop_front();
  Bytes answer = std::move(flight.answer);
  bytes_ -= answer.size();
  flight.answer = {};
  flight.state = Flight::State::kReceived;
  if (flight.ends) flights_.erase(found);
  return answer;
}

std::vector<std::uint16_t> Flights::unanswered(SessionId session) const {
  std::vector<std::uint16_t> ids;
  for (const auto& [id, flight] : flights_) {
    if (flight.session == session && flight.state == Flight::State::kReleased) ids.push_back(id);
  }
  std::ranges::sort(ids);
  for (const std::uint16_t id : order_) {
    const Flight& flight = flights_.at(id);
    if (flight.session == session && flight.state == Flight::State::kPublished) ids.push_back(id);
  }
  return ids;
}

void Flights::move(SessionId from, SessionId to) {
  for (auto& [id, flight] : flights_) {
    if (flight.session != from) continue;
    flight.session = to;
    flight.is_moved |= flight.state != Flight::State::kPublished;
  }
}

}  // namespace remora::router
