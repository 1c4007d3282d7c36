// SPDX-License-Identifier: Apache-2.0
#include "bench/load/packets.h"

namespace remora::load {
namespace {

using mqtt::Type;
using mqtt::Version;

void add_number(Bytes& bytes, std::size_t number) {
  bytes.push_back(static_cast<std::uint8_t>(number >> 8));
  bytes.push_back(static_cast<std::uint8_t>(number));
}

void add_text(Bytes& bytes, std::string_view text) {
  add_number(bytes, text.size());
  bytes.insert(bytes.end(), text.begin(), text.end());
}

void add_no_properties(Bytes& bytes, Version version) {
  if (version == Version::k5) bytes.push_back(0);
}

// The packet of `body`, to which `more` bytes will be added.
Bytes packet_of(Type type, int flags, const Bytes& body, std::size_t more = 0) {
  Bytes packet{static_cast<std::uint8_t>(static_cast<int>(type) << 4 | flags)};
  std::size_t length = body.size() + more;
  do {  // seven bits a byte (MQTT 5.0 §1.5.5)
    const auto low = static_cast<std::uint8_t>(length & 0x7f);
    length >>= 7;
    packet.push_back(length != 0 ? low | 0x80 : low);
  } while (length != 0);
  packet.insert(packet.end(), body.begin(), body.end());
  return packet;
}

}  // namespace

Bytes connect_packet(Version version, std::string_view client_id) {
  constexpr std::uint8_t kClean = 0x02;
  Bytes body;
  add_text(body, version == Version::k31 ? "MQIsdp" : "MQTT");
  body.push_back(static_cast<std::uint8_t>(version));
  body.push_back(kClean);
  add_number(body, 0);  // no keep alive
  add_no_properties(body, version);
  add_text(body, client_id);
  return packet_of(Type::kConnect, 0, body);
}

Bytes publish_head(Version version, std::string_view topic, int qos, std::uint16_t id,
                   std::size_t size) {
  Bytes body;
  add_text(body, topic);
  if (qos != 0) add_number(body, id);
  add_no_properties(body, version);
  return packet_of(Type::kPublish, qos << 1, body, size);
}

Bytes subscribe_packet(Version version, std::uint16_t id, std::string_view filter) {
  Bytes body;
  add_number(body, id);
  add_no_properties(body, version);
  add_text(body, filter);
  body.push_back(0);  // QoS 0
  return packet_of(Type::kSubscribe, 2, body);
}

Bytes connack_packet(Version version) {
  Bytes body{0, 0};
  add_no_properties(body, version);
  return packet_of(Type::kConnack, 0, body);
}

}  // namespace remora::load
