// SPDX-License-Identifier: Apache-2.0
//
// Recognizes the commonest packets with a few comparisons: a PUBLISH of QoS 0 without properties,
// all of whose bytes are there.
//
// A stream of small messages costs mostly the reading of their heads. The packet reader reads all
// others, and judges what is malformed.
//
// Pure: the views point into the bytes that were handed in.
#pragma once

#include <optional>
#include <string_view>

#include "daemon/mqtt/packet.h"

namespace remora::mqtt {

struct PlainPublish {
  std::size_t size;        // of the packet
  std::string_view topic;  // not empty; not checked in any other way
};

// The packet at the front of `bytes`. No value if it is another one, or not whole.
inline std::optional<PlainPublish> plain_publish(ByteView bytes, Version version) {
  constexpr std::uint8_t kQos0 = 0x30, kRetained = 0x31;
  constexpr std::size_t kLeast = 5;
  if (bytes.size() < kLeast || (bytes[0] != kQos0 && bytes[0] != kRetained)) return std::nullopt;
  std::size_t header = 2, remaining = bytes[1];
  if (remaining >= 0x80) {
    // Up to 16 KiB; for a longer packet it does not matter how its head is read.
    if (bytes[2] == 0 || bytes[2] >= 0x80) return std::nullopt;
    remaining = (remaining & 0x7f) | std::size_t{bytes[2]} << 7;
    header = 3;
  }
  const std::size_t size = header + remaining;
  if (size > bytes.size()) return std::nullopt;
  const std::size_t topic = std::size_t{bytes[header]} << 8 | bytes[header + 1];
  const std::size_t properties = version == Version::k5 ? 1 : 0;
  const std::size_t head = header + 2 + topic + properties;
  if (topic == 0 || head > size) return std::nullopt;
  if (properties != 0 && bytes[head - 1] != 0) return std::nullopt;
  return PlainPublish{size, {reinterpret_cast<const char*>(bytes.data()) + header + 2, topic}};
}

}  // namespace remora::mqtt
