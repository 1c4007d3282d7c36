// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/session.h"

#include <algorithm>

namespace remora::router {

using mqtt::Reason;

Session::Session(SessionId new_id, GroupId of_group, Role its_role, std::size_t longest_packet)
    : id(new_id),
      group(of_group),
      role(its_role),
      reader(mqtt::Sender::kBroker, longest_packet),
      outbox(its_role == Role::kRaw ? Outbox::Unit::kByte : Outbox::Unit::kPacket) {}

void Session::begin(ByteView connect, mqtt::Version version) {
  reader.set_version(version);
  outbox.append_copy(connect);
}

std::optional<Reason> Session::accept(const mqtt::BrokerLimits& limits) {
  ready_ = true;
  limits_ = limits;
  return flush();
}

// Checks a packet against the limits that the broker announced (§3.2.2.3).
std::optional<Reason> Session::objection(std::uint8_t first_byte, std::size_t size) const {
  if (size > limits_.maximum_packet) return Reason::kPacketTooLarge;
  if (mqtt::type_of(first_byte) != mqtt::Type::kPublish) return std::nullopt;
  if (mqtt::qos_of(first_byte) > limits_.maximum_qos) return Reason::kQosNotSupported;
  if (mqtt::is_retained(first_byte) && !limits_.retain_available) {
    return Reason::kRetainNotSupported;
  }
  return std::nullopt;
}

std::optional<Reason> Session::publish(const Outgoing& packet) {
  const std::uint8_t first_byte = packet.bytes[0];
  const bool needs_quota = mqtt::qos_of(first_byte) != 0;
  open_ = packet.left;
  open_is_waiting_ = !ready_ || !waiting_.empty() || (needs_quota && !has_quota());
  if (open_is_waiting_) {
    waiting_.append(packet.bytes);
    open_is_waiting_ = open_ != 0;
    return std::nullopt;
  }
  if (const auto problem = objection(first_byte, packet.bytes.size() + packet.left)) return problem;
  if (needs_quota) ++in_flight_;
  if (packet.lifetime == Outgoing::Lifetime::kUntilSettled) {
    outbox.append(packet.bytes);
  } else {
    outbox.append_copy(packet.bytes);
  }
  return std::nullopt;
}

void Session::more(ByteView payload, Outgoing::Lifetime lifetime) {
  open_ -= payload.size();
  if (open_is_waiting_) {
    waiting_.append(payload);
    open_is_waiting_ = open_ != 0;
  } else if (lifetime == Outgoing::Lifetime::kUntilSettled) {
    outbox.append(payload);
  } else {
    outbox.append_copy(payload);
  }
}

void Session::reopen(std::size_t left) {
  open_ = left;
  open_is_waiting_ = true;
}

void Session::in_order(ByteView packet) {
  if (ready_ && waiting_.empty()) {
    outbox.append_copy(packet);
  } else {
    waiting_.append(packet);
  }
}

void Session::at_once(ByteView packet) {
  if (ready_) {
    outbox.append_copy(packet);
  } else {
    waiting_.append(packet);
  }
}

std::optional<Reason> Session::acknowledged() {
  if (in_flight_ > 0) --in_flight_;
  return flush();
}

std::optional<Reason> Session::flush() {
  while (ready_ && !waiting_.empty()) {
    const ByteView front = waiting_.view();
    const std::size_t size = mqtt::packet_size(front);
    if (const auto problem = objection(front[0], size)) return problem;
    if (mqtt::type_of(front[0]) == mqtt::Type::kPublish && mqtt::qos_of(front[0]) != 0) {
      if (!has_quota()) break;
      ++in_flight_;
    }
    const std::size_t here = std::min(size, front.size());
    outbox.append_copy(front.first(here));
    waiting_.pop(here);
    if (here < size) open_is_waiting_ = false;
  }
  return std::nullopt;
}

void Session::ping(Pinger pinger) {
  pings_.push_back(pinger);
  at_once(mqtt::ping_request());
}

std::optional<Session::Pinger> Session::ping_answered() {
  if (pings_.empty()) return std::nullopt;
  const Pinger pinger = pings_.front();
  pings_.pop_front();
  return pinger;
}

std::size_t Session::pings_of_client() const {
  return static_cast<std::size_t>(std::ranges::count(pings_, Pinger::kClient));
}

bool Session::is_pinged_by_router() const {
  return std::ranges::count(pings_, Pinger::kRouter) != 0;
}

}  // namespace remora::router
