// SPDX-License-Identifier: Apache-2.0
//
// The head of a PUBLISH (§3.3): all bytes before its payload.
//
// Pure: the views point into the bytes that were handed in.
#pragma once

#include <string_view>
#include <variant>

#include "daemon/mqtt/packet.h"
#include "daemon/mqtt/packet_reader.h"

namespace remora::mqtt {

struct Publish {
  std::uint8_t first_byte;
  std::string_view topic;       // empty: the alias names it
  std::uint16_t id = 0;         // with QoS 1 and 2
  std::uint16_t alias = 0;      // 0: none
  ByteView properties{};        // of MQTT 5
  std::uint32_t id_offset = 0;  // in the packet

  int qos() const { return qos_of(first_byte); }
};

// The fields of `part`, which is a PUBLISH, or the reason why it is malformed. Does not check
// whether the topic is a valid name.
std::variant<Publish, Reason> parse_publish(const Part& part, Version version);

// The head of an MQTT 5 PUBLISH with `topic` instead of its alias. `payload` is the payload's size.
Bytes without_alias(const Publish& publish, std::string_view topic, std::size_t payload);

}  // namespace remora::mqtt
