// SPDX-License-Identifier: Apache-2.0
//
// The packets that a load generator and its brokers send.
#pragma once

#include <cstdint>
#include <string_view>

#include "daemon/mqtt/packet.h"

namespace remora::load {

using mqtt::Bytes;
using mqtt::ByteView;

// Clean, and without a keep alive.
Bytes connect_packet(mqtt::Version version, std::string_view client_id);
// With `size` bytes of payload, which the caller appends.
Bytes publish_head(mqtt::Version version, std::string_view topic, int qos, std::uint16_t id,
                   std::size_t size);
Bytes subscribe_packet(mqtt::Version version, std::uint16_t id, std::string_view filter);
Bytes connack_packet(mqtt::Version version);

}  // namespace remora::load
