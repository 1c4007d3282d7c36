// SPDX-License-Identifier: Apache-2.0
#include "tests/support/mqtt_packets.h"

#include <stdexcept>

namespace remora {

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Bytes two_bytes(std::size_t value) {
  return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}

Bytes utf8_string(std::string_view text) {
  return two_bytes(text.size()) + bytes_of(text);
}

// MQTT 3.1.1 §2.2.3, the encoder of the non-normative comment.
Bytes variable_byte_integer(std::uint32_t value) {
  Bytes out;
  do {
    std::uint8_t digit = value % 128;
    value /= 128;
    if (value > 0) digit |= 128;
    out.push_back(digit);
  } while (value > 0);
  return out;
}

Bytes fixed_header_bytes(std::uint8_t first_byte, std::uint32_t remaining) {
  return Bytes{first_byte} + variable_byte_integer(remaining);
}

Bytes control_packet(PacketType type, int flags, const Bytes& body) {
  return fixed_header_bytes(static_cast<std::uint8_t>(type << 4 | flags),
                            static_cast<std::uint32_t>(body.size())) +
         body;
}

Bytes connect_packet(MqttVersion version, std::string_view client_id, std::uint16_t keep_alive) {
  constexpr std::uint8_t kCleanSession = 2;
  Bytes body = utf8_string(version == MqttVersion::k31 ? "MQIsdp" : "MQTT");
  body.push_back(static_cast<std::uint8_t>(version));
  body.push_back(kCleanSession);
  body = body + two_bytes(keep_alive);
  if (version == MqttVersion::k5) body.push_back(0);  // no properties
  return control_packet(kConnect, 0, body + utf8_string(client_id));
}

Bytes publish_packet(std::string_view topic, std::string_view message,
                     const PublishOptions& options) {
  Bytes body = utf8_string(topic);
  if (options.qos > 0) body = body + two_bytes(options.packet_id);
  if (options.properties)
    body = body + variable_byte_integer(static_cast<std::uint32_t>(options.properties->size())) +
           *options.properties;
  const int flags = options.qos << 1 | (options.dup ? 8 : 0);
  return control_packet(kPublish, flags, body + bytes_of(message));
}

Bytes puback_packet(std::uint16_t packet_id) {
  return control_packet(kPuback, 0, two_bytes(packet_id));
}

Bytes pubrel_packet(std::uint16_t packet_id) {
  return control_packet(kPubrel, 2, two_bytes(packet_id));
}

Bytes subscribe_packet(std::uint16_t packet_id, std::string_view filter) {
  return control_packet(kSubscribe, 2, two_bytes(packet_id) + utf8_string(filter) + Bytes{0});
}

Bytes pingreq_packet() {
  return control_packet(kPingreq, 0, {});
}
Bytes disconnect_packet() {
  return control_packet(kDisconnect, 0, {});
}

StreamReading read_stream(const Bytes& stream) {
  StreamReading reading;
  std::size_t at = 0;
  const auto malformed = [&] {
    reading.malformed = true;
    return reading;
  };

  while (at < stream.size()) {
    StreamPacket found{.offset = at, .first_byte = stream[at], .length = 0, .topic = {}};
    const int type = found.first_byte >> 4;
    if (type == 0) return malformed();

    // MQTT 3.1.1 §2.2.3, the decoder of the non-normative comment.
    std::size_t next = at + 1, remaining = 0, multiplier = 1;
    std::uint8_t digit;
    do {
      if (next == at + 5) return malformed();
      if (next == stream.size()) return reading;
      digit = stream[next++];
      remaining += (digit & 127) * multiplier;
      multiplier *= 128;
    } while (digit & 128);
    found.length = next - at + remaining;

    if (type == kConnect && next + 7 <= stream.size())
      reading.has_properties = stream[next + 1] == 4 && stream[next + 6] == 5;
    if (type == kPublish) {
      if (remaining < 2) return malformed();
      if (next + 2 > stream.size()) return reading;
      const std::size_t topic_length = stream[next] * 256u + stream[next + 1];
      const int qos = found.first_byte >> 1 & 3;
      // After the topic stand the packet identifier and, in MQTT 5, properties.
      const std::size_t least = 2 + (qos > 0 ? 2u : 0u) + (reading.has_properties ? 1u : 0u);
      if (remaining < least || topic_length > remaining - least || qos == 3) return malformed();
      found.topic_offset = next + 2;
      found.topic.emplace();
      for (std::size_t i = next + 2; i < next + 2 + topic_length && i < stream.size(); i++)
        found.topic->push_back(static_cast<char>(stream[i]));
    }
    reading.packets.push_back(found);
    at += found.length;
  }
  return reading;
}

}  // namespace remora
