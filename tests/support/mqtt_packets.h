// SPDX-License-Identifier: Apache-2.0
//
// The control packets that a client sends, as bytes (MQTT 3.1, 3.1.1, 5.0), and a plain reader
// of whole streams that follows the standard word by word. Tests compare the packet walker with
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/packet.h"

namespace remora {

enum class MqttVersion : std::uint8_t { k31 = 3, k311 = 4, k5 = 5 };

// The packet types that a client sends (MQTT 5.0 §2.1.2).
enum PacketType {
  kConnect = 1,
  kPublish = 3,
  kPuback = 4,
  kPubrec = 5,
  kPubrel = 6,
  kPubcomp = 7,
  kSubscribe = 8,
  kUnsubscribe = 10,
  kPingreq = 12,
  kDisconnect = 14,
  kAuth = 15,
};

struct PublishOptions {
  int qos = 0;
  std::uint16_t packet_id = 1;        // with QoS 1 and 2
  bool dup = false;                   // the PUBLISH was sent before
  std::optional<Bytes> properties{};  // MQTT 5.0 §3.3.2.3: without their length, which is added
};

Bytes connect_packet(MqttVersion version = MqttVersion::k311, std::string_view client_id = "c",
                     std::uint16_t keep_alive = 60);
Bytes publish_packet(std::string_view topic, std::string_view message = "m",
                     const PublishOptions& options = {});
Bytes puback_packet(std::uint16_t packet_id);
Bytes pubrel_packet(std::uint16_t packet_id);
Bytes subscribe_packet(std::uint16_t packet_id, std::string_view filter);
Bytes pingreq_packet();
Bytes disconnect_packet();

// A fixed header with any remaining length below 2^28.
Bytes fixed_header_bytes(std::uint8_t first_byte, std::uint32_t remaining);
Bytes control_packet(PacketType type, int flags, const Bytes& body);
// The parts of a body (MQTT 5.0 §1.5.2, §1.5.4, §1.5.5). Binary data are encoded like strings.
Bytes two_bytes(std::size_t value);
Bytes utf8_string(std::string_view text);
Bytes variable_byte_integer(std::uint32_t value);

Bytes operator+(Bytes left, const Bytes& right);

// One packet of a stream.
struct StreamPacket {
  std::size_t offset = 0;  // of the packet's first byte
  std::uint8_t first_byte = 0;
  std::size_t length = 0;              // header included; may exceed the stream
  std::optional<std::string> topic{};  // if it is a PUBLISH
  std::size_t topic_offset = 0;        // in the stream

  bool operator==(const StreamPacket&) const = default;
};

struct StreamReading {
  std::vector<StreamPacket> packets;  // those whose header, and topic length, are complete
  bool malformed = false;             // the bytes after them are no packet
  bool has_properties = false;        // the CONNECT says MQTT 5
};

// Reads the packets that begin in `stream`, from its beginning.
StreamReading read_stream(const Bytes& stream);

}  // namespace remora
