// SPDX-License-Identifier: Apache-2.0
#include "tests/router/fake_broker.h"

#include <algorithm>
#include <stdexcept>

namespace remora {
namespace {

constexpr int kConnack = 2;
constexpr int kSuback = 9;
constexpr int kUnsuback = 11;
constexpr int kPingresp = 13;

// Reads from left to right; throws std::out_of_range beyond the end.
struct Reader {
  const Bytes& bytes;
  std::size_t at = 0;

  std::size_t byte() { return bytes.at(at++); }
  std::size_t two() {
    const std::size_t high = byte();
    return high * 256 + byte();
  }
  std::size_t integer() {
    std::size_t value = 0;
    std::size_t factor = 1;
    std::size_t digit = 0;
    do {
      digit = byte();
      value += digit % 128 * factor;
      factor *= 128;
    } while (digit >= 128);
    return value;
  }
  Bytes take(std::size_t count) {
    if (bytes.size() - at < count) throw std::out_of_range("a field is cut");
    at += count;
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    return {end - static_cast<std::ptrdiff_t>(count), end};
  }
  std::string text(std::size_t count) {
    const Bytes taken = take(count);
    return {taken.begin(), taken.end()};
  }
};

}  // namespace

std::vector<PlainPacket> take_packets(Bytes& stream) {
  std::vector<PlainPacket> packets;
  std::size_t done = 0;
  while (true) {
    Reader reader{stream, done};
    try {
      const std::size_t first = reader.byte();
      PlainPacket packet{.type = static_cast<int>(first >> 4),
                         .flags = static_cast<int>(first & 15)};
      packet.body = reader.take(reader.integer());
      packet.bytes = {stream.begin() + static_cast<std::ptrdiff_t>(done),
                      stream.begin() + static_cast<std::ptrdiff_t>(reader.at)};
      done = reader.at;
      packets.push_back(std::move(packet));
    } catch (const std::out_of_range&) {
      break;
    }
  }
  stream.erase(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(done));
  return packets;
}

PlainPublish read_publish(const PlainPacket& packet, MqttVersion version) {
  Reader reader{packet.body};
  PlainPublish message;
  message.topic = reader.text(reader.two());
  message.qos = packet.qos();
  if (message.qos > 0) message.id = static_cast<int>(reader.two());
  if (version == MqttVersion::k5) message.properties = reader.take(reader.integer());
  message.message = reader.text(packet.body.size() - reader.at);
  return message;
}

PlainConnect read_connect(const PlainPacket& packet) {
  Reader reader{packet.body};
  PlainConnect connect{};
  reader.text(reader.two());
  connect.version = static_cast<MqttVersion>(reader.byte());
  connect.flags = static_cast<int>(reader.byte());
  reader.two();
  if (connect.version == MqttVersion::k5) reader.take(reader.integer());
  connect.client_id = reader.text(reader.two());
  return connect;
}

void FakeBroker::get(const Bytes& bytes) {
  unread_.insert(unread_.end(), bytes.begin(), bytes.end());
  for (const PlainPacket& packet : take_packets(unread_)) {
    try {
      handle(packet);
    } catch (const std::out_of_range&) {
      has_closed = true;  // malformed
    }
  }
}

std::size_t FakeBroker::count(PacketType type) const {
  return static_cast<std::size_t>(
      std::ranges::count(packets, static_cast<int>(type), &PlainPacket::type));
}

void FakeBroker::handle(const PlainPacket& packet) {
  if (has_closed) return;
  packets.push_back(packet);
  Reader reader{packet.body};
  switch (packet.type) {
    case kConnect:
      version = read_connect(packet).version;
      if (answers_connect)
        answers = answers + connack_packet(version, return_code, connack_properties);
      has_closed = return_code != 0;
      break;
    case kPublish: {
      messages.push_back(read_publish(packet, version));
      const PlainPublish& message = messages.back();
      if (message.qos == 0) break;
      most_in_flight = std::max(most_in_flight, ++in_flight);
      if (!answers_messages) break;
      answers = answers + broker_ack(message.qos == 1 ? kPuback : kPubrec,
                                     static_cast<std::size_t>(message.id));
      if (message.qos == 1) --in_flight;
      break;
    }
    case kPubrel:
      if (in_flight > 0) --in_flight;
      answers = answers + broker_ack(kPubcomp, reader.two());
      break;
    case kSubscribe: {
      Bytes body = two_bytes(reader.two());
      if (version == MqttVersion::k5) body.push_back(0);
      body.push_back(static_cast<std::uint8_t>(granted));
      answers = answers + control_packet(static_cast<PacketType>(kSuback), 0, body);
      break;
    }
    case kUnsubscribe: {
      Bytes body = two_bytes(reader.two());
      if (version == MqttVersion::k5) body = body + Bytes{0, 0};
      answers = answers + control_packet(static_cast<PacketType>(kUnsuback), 0, body);
      break;
    }
    case kPingreq:
      answers = answers + control_packet(static_cast<PacketType>(kPingresp), 0, {});
      break;
    case kDisconnect:
      has_closed = true;
      break;
    default:
      break;
  }
}

Bytes connack_packet(MqttVersion version, int code, const Bytes& properties) {
  Bytes body{0, static_cast<std::uint8_t>(code)};
  if (version == MqttVersion::k5) {
    body = body + variable_byte_integer(static_cast<std::uint32_t>(properties.size())) + properties;
  }
  return control_packet(static_cast<PacketType>(kConnack), 0, body);
}

Bytes broker_ack(int type, std::size_t id) {
  return control_packet(static_cast<PacketType>(type), type == kPubrel ? 2 : 0, two_bytes(id));
}

}  // namespace remora
