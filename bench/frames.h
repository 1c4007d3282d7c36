// SPDX-License-Identifier: Apache-2.0
//
// Frames from a client to a service, byte by byte.
//
// Pure. The wrapper writes client address and sequence number. Checksums are zero, because the
// packet path does not read those that a client writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace remora::bench {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::uint32_t kServiceAddress = 0x0a0132c8;  // 10.1.50.200
inline constexpr std::uint16_t kServicePort = 1883;
inline constexpr std::uint16_t kClientPort = 40000;
// Ethernet, IPv4, and TCP with the timestamps that every Linux client sends.
inline constexpr std::size_t kHeaders = 14 + 20 + 32;

enum class Flags : std::uint8_t { kSyn = 0x02, kAck = 0x10, kPushAck = 0x18 };

// A TCP segment in Ethernet.
Bytes segment(Flags flags, const Bytes& payload, std::uint16_t service_port = kServicePort);

// Appends bytes after the IP packet, as Ethernet pads short packets.
Bytes padded(Bytes frame, std::size_t length);

// MQTT 3.1.1 control packets.
Bytes connect_packet();
// QoS 0. The topic ends `message_len` bytes before the end of the returned packet.
Bytes publish_packet(std::string_view topic, std::size_t message_len);

}  // namespace remora::bench
