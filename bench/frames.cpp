// SPDX-License-Identifier: Apache-2.0
#include "bench/frames.h"

#include <string>

namespace remora::bench {
namespace {

void put8(Bytes& bytes, unsigned value) {
  bytes.push_back(static_cast<std::uint8_t>(value));
}

void put16(Bytes& bytes, std::size_t value) {
  put8(bytes, static_cast<unsigned>(value >> 8 & 0xff));
  put8(bytes, static_cast<unsigned>(value & 0xff));
}

void put32(Bytes& bytes, std::uint32_t value) {
  put16(bytes, value >> 16);
  put16(bytes, value & 0xffff);
}

void put(Bytes& bytes, std::string_view text) {
  bytes.insert(bytes.end(), text.begin(), text.end());
}

// MQTT 3.1.1 §2.2.3
void put_remaining_length(Bytes& bytes, std::size_t length) {
  do {
    put8(bytes, static_cast<unsigned>(length % 128 + (length >= 128 ? 128 : 0)));
    length /= 128;
  } while (length > 0);
}

}  // namespace

Bytes segment(Flags flags, const Bytes& payload, std::uint16_t service_port) {
  constexpr std::size_t kIp = 20, kTcp = 32;
  Bytes frame;
  put(frame, std::string_view("\x02\x00\x00\x00\x00\x01", 6));  // to the LB
  put(frame, std::string_view("\x02\x00\x00\x00\x00\x02", 6));  // from the gateway
  put16(frame, 0x0800);

  put16(frame, 0x4500);
  put16(frame, kIp + kTcp + payload.size());
  put32(frame, 0x00004000);  // do not fragment
  put32(frame, 0x40060000);  // TTL 64, TCP
  put32(frame, 0);           // client address, written by the wrapper
  put32(frame, kServiceAddress);

  put16(frame, kClientPort);
  put16(frame, service_port);
  put32(frame, 0);  // sequence number, written by the wrapper
  put32(frame, flags == Flags::kSyn ? 0 : 1);
  put16(frame, kTcp / 4 << 12 | static_cast<unsigned>(flags));
  put16(frame, 502);
  put32(frame, 0);           // checksum, urgent pointer
  put32(frame, 0x0101080a);  // two NOPs, timestamps (RFC 7323)
  put32(frame, 1000);
  put32(frame, flags == Flags::kSyn ? 0 : 2000);

  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

Bytes padded(Bytes frame, std::size_t length) {
  if (frame.size() < length) frame.resize(length);
  return frame;
}

Bytes connect_packet() {
  const std::string_view client_id = "sensor-0001";
  Bytes packet;
  put8(packet, 0x10);
  put_remaining_length(packet, 10 + 2 + client_id.size());
  put16(packet, 4);
  put(packet, "MQTT");
  put16(packet, 0x0402);  // level 4, clean session
  put16(packet, 60);      // keep alive, seconds
  put16(packet, client_id.size());
  put(packet, client_id);
  return packet;
}

Bytes publish_packet(std::string_view topic, std::size_t message_len) {
  Bytes packet;
  put8(packet, 0x30);
  put_remaining_length(packet, 2 + topic.size() + message_len);
  put16(packet, topic.size());
  put(packet, topic);
  packet.resize(packet.size() + message_len, 'x');
  return packet;
}

}  // namespace remora::bench
