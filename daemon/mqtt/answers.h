// SPDX-License-Identifier: Apache-2.0
//
// The small packets: CONNACK, acknowledgements, PINGREQ, DISCONNECT.
//
// Pure. Parsers return no value for a malformed packet.
#pragma once

#include <optional>

#include "daemon/mqtt/packet.h"
#include "daemon/mqtt/packet_reader.h"

namespace remora::mqtt {

// Limits that a broker announces (§3.2.2.3).
struct BrokerLimits {
  std::uint16_t receive_maximum = 65535;
  int maximum_qos = 2;
  bool retain_available = true;
  std::uint32_t maximum_packet = 0xffffffff;  // bytes
  std::uint16_t topic_alias_maximum = 0;
  std::optional<std::uint16_t> keep_alive_s{};  // replaces the client's
};

struct Connack {
  Reason reason;  // for MQTT 3, the corresponding reason code of MQTT 5
  BrokerLimits limits;
};
std::optional<Connack> parse_connack(const Part& part, Version version);

// PUBACK, PUBREC, PUBREL, PUBCOMP; for SUBACK and UNSUBACK only the identifier.
struct Ack {
  std::uint16_t id;
  Reason reason;
};
std::optional<Ack> parse_ack(const Part& part, Version version);

// The reason code of a DISCONNECT or AUTH (MQTT 5.0 §3.14.2.1, §3.15.2.1).
Reason reason_of(const Part& part);

// The same packet with another identifier, which is the first field of its body.
Bytes with_id(const Part& part, std::uint16_t id);

Bytes connack_refusal(Version version, Reason reason);
// An acknowledgement without reason string or user properties.
Bytes ack_packet(Type type, std::uint16_t id, Reason reason = Reason::kSuccess);
Bytes ping_request();
Bytes ping_response();
// In MQTT 3 a DISCONNECT has no reason.
Bytes disconnect_packet(Version version, Reason reason = Reason::kSuccess);

}  // namespace remora::mqtt
