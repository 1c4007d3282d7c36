// SPDX-License-Identifier: Apache-2.0
#include "bench/load/receiving_connection.h"

#include <array>
#include <optional>
#include <utility>

#include "bench/load/packets.h"
#include "daemon/base/clock.h"
#include "daemon/mqtt/answers.h"
#include "daemon/mqtt/connect.h"

namespace remora::load {
namespace {

using mqtt::Type;

struct Extent {
  std::size_t header;
  std::size_t packet;
};

// Extent of the first packet; nothing while its fixed header is incomplete (MQTT 5.0 §2.1.4).
std::optional<Extent> extent_of(ByteView front) {
  constexpr std::size_t kLongestHeader = 5;
  std::size_t length = 0;
  for (std::size_t i = 1; i < front.size() && i < kLongestHeader; ++i) {
    length |= std::size_t{front[i] & 0x7fU} << (7 * (i - 1));
    if ((front[i] & 0x80) == 0) return Extent{i + 1, i + 1 + length};
  }
  return std::nullopt;
}

std::uint16_t number_at(ByteView bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

}  // namespace

ReceivingConnection::ReceivingConnection(event_base* base, Fd socket, Role role, std::size_t broker,
                                         Tally& tally, std::function<void()> on_ready)
    : role_(role),
      broker_(broker),
      tally_(tally),
      on_ready_(std::move(on_ready)),
      peer_(
          base, std::move(socket), role == Role::kBroker, [this] { read(); }, [this] { write(); }) {
  if (role == Role::kSubscriber) {
    out_.append(connect_packet(version_, "load-count-" + std::to_string(broker)));
    out_.append(subscribe_packet(version_, 1, "#"));
  }
  peer_.want(true, !out_.empty());
}

void ReceivingConnection::read() {
  static std::array<std::uint8_t, 256 * 1024> buffer;
  const auto count = peer_.read(buffer);
  if (!count) return end();
  ByteView input(buffer.data(), *count);
  if (!in_.empty()) {
    in_.append(input);
    input = in_.view();
  }
  const std::size_t before = input.size();
  while (const auto extent = extent_of(input)) {
    if (extent->packet > input.size()) break;
    take(input.first(extent->packet), extent->header);
    input = input.subspan(extent->packet);
  }
  if (in_.empty()) {
    in_.append(input);
  } else {
    in_.pop(before - input.size());
  }
  write();
}

void ReceivingConnection::write() {
  if (is_over_) return;
  if (!peer_.is_open() && !peer_.finish_connecting()) return end();
  if (!out_.empty()) {
    const auto count = peer_.write({out_.view()});
    if (!count) return end();
    out_.pop(*count);
  }
  peer_.want(true, !out_.empty());
}

void ReceivingConnection::take(ByteView packet, std::size_t header) {
  switch (mqtt::type_of(packet[0])) {
    case Type::kPublish:
      take_publish(packet, header);
      break;
    case Type::kPubrel:
      out_.append(mqtt::ack_packet(Type::kPubcomp, number_at(packet, header)));
      break;
    case Type::kSuback:
      on_ready_();
      break;
    case Type::kConnect:
      if (const auto connect = mqtt::parse_connect(packet)) version_ = connect->version;
      out_.append(connack_packet(version_));
      break;
    case Type::kPingreq:
      out_.append(mqtt::ping_response());
      break;
    case Type::kDisconnect:
      write();
      end();
      break;
    default:
      break;
  }
}

void ReceivingConnection::take_publish(ByteView packet, std::size_t header) {
  const std::size_t length = number_at(packet, header);
  const auto* topic = reinterpret_cast<const char*>(packet.data() + header + 2);
  std::size_t at = header + 2 + length;
  const int qos = mqtt::qos_of(packet[0]);
  if (qos != 0) {
    const std::uint16_t id = number_at(packet, at);
    at += 2;
    out_.append(mqtt::ack_packet(qos == 1 ? Type::kPuback : Type::kPubrec, id));
  }
  if (version_ == mqtt::Version::k5) at += 1 + packet[at];  // short properties
  tally_.add(broker_, {topic, length}, packet.subspan(at), monotonic_ns());
}

void ReceivingConnection::end() {
  if (is_over_) return;
  is_over_ = true;
  peer_.want(false, false);
  peer_.release();
}

}  // namespace remora::load
