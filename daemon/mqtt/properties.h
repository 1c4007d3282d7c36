// SPDX-License-Identifier: Apache-2.0
//
// The properties of MQTT 5 packets (§2.2.2), one after the other.
//
// Pure: the views point into the bytes that were handed in.
#pragma once

#include <optional>

#include "daemon/mqtt/packet.h"

namespace remora::mqtt {

enum class PropertyId : std::uint8_t {
  kSessionExpiry = 0x11,
  kServerKeepAlive = 0x13,
  kAuthenticationMethod = 0x15,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kMaximumPacketSize = 0x27,
};

struct Property {
  PropertyId id;
  std::uint32_t number;  // the value, if it is an integer
  ByteView whole;        // identifier and value
};

class PropertyReader {
 public:
  // `properties` are without the length that precedes them.
  explicit PropertyReader(ByteView properties) : rest_(properties) {}

  // No value after the last property, or if the next one is malformed.
  std::optional<Property> next();
  bool is_malformed() const { return malformed_; }

 private:
  ByteView rest_;
  bool malformed_ = false;
};

// Appends a variable byte integer (§1.5.5); `value` < 2^28.
void append_variable_integer(Bytes& out, std::uint32_t value);

// Appends a length of two bytes, and `text` (§1.5.4, §1.5.6).
void append_string(Bytes& out, ByteView text);

}  // namespace remora::mqtt
