// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/answers.h"

#include <array>

#include "daemon/mqtt/cursor.h"
#include "daemon/mqtt/properties.h"

namespace remora::mqtt {
namespace {

constexpr std::uint8_t first_byte_of(Type type) {
  const bool is_pubrel = type == Type::kPubrel;
  return static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4 | (is_pubrel ? 2U : 0U));
}

// The return codes of MQTT 3.1.1 §3.2.2.3, from 1 on.
constexpr std::array kReturnCodes{static_cast<Reason>(0x84),  // unacceptable protocol version
                                  static_cast<Reason>(0x85),  // identifier rejected
                                  Reason::kServerUnavailable, Reason::kBadUserOrPassword,
                                  Reason::kNotAuthorized};

Reason reason_of_return_code(std::uint8_t code) {
  if (code == 0) return Reason::kSuccess;
  return code <= kReturnCodes.size() ? kReturnCodes[code - 1U] : Reason::kUnspecified;
}

std::uint8_t return_code_of(Reason reason) {
  for (std::size_t i = 0; i < kReturnCodes.size(); ++i) {
    if (kReturnCodes[i] == reason) return static_cast<std::uint8_t>(i + 1);
  }
  return 3;  // server unavailable
}

void apply(BrokerLimits& limits, const Property& property) {
  switch (property.id) {
    case PropertyId::kReceiveMaximum:
      limits.receive_maximum = static_cast<std::uint16_t>(property.number);
      break;
    case PropertyId::kMaximumQos:
      limits.maximum_qos = static_cast<int>(property.number);
      break;
    case PropertyId::kRetainAvailable:
      limits.retain_available = property.number != 0;
      break;
    case PropertyId::kMaximumPacketSize:
      limits.maximum_packet = property.number;
      break;
    case PropertyId::kTopicAliasMaximum:
      limits.topic_alias_maximum = static_cast<std::uint16_t>(property.number);
      break;
    case PropertyId::kServerKeepAlive:
      limits.keep_alive_s = static_cast<std::uint16_t>(property.number);
      break;
    default:
      break;
  }
}

}  // namespace

std::optional<Connack> parse_connack(const Part& part, Version version) {
  Cursor cursor(part.body());
  cursor.byte();  // whether there was a session
  const std::uint8_t code = cursor.byte();
  // A broker that does not know MQTT 5 refuses as MQTT 3 does (MQTT 3.1.1 §3.1.2.2).
  if (version != Version::k5 || (cursor.left() == 0 && code != 0)) {
    if (cursor.failed() || cursor.left() != 0) return std::nullopt;
    return Connack{reason_of_return_code(code), {}};
  }
  Connack connack{static_cast<Reason>(code), {}};
  PropertyReader reader(cursor.take(cursor.variable_integer()));
  while (const auto property = reader.next()) apply(connack.limits, *property);
  const BrokerLimits& limits = connack.limits;
  const bool is_malformed = cursor.failed() || cursor.left() != 0 || reader.is_malformed() ||
                            limits.receive_maximum == 0 || limits.maximum_packet == 0;
  return is_malformed ? std::nullopt : std::optional(connack);
}

std::optional<Ack> parse_ack(const Part& part, Version version) {
  Cursor cursor(part.body());
  Ack ack{cursor.two_bytes(), Reason::kSuccess};
  const Type type = part.type();
  const bool has_reason = type != Type::kSuback && type != Type::kUnsuback;
  if (has_reason && version == Version::k5 && cursor.left() != 0) {
    ack.reason = static_cast<Reason>(cursor.byte());
  }
  if (cursor.failed() || ack.id == 0) return std::nullopt;
  return ack;
}

Reason reason_of(const Part& part) {
  const ByteView body = part.body();
  return body.empty() ? Reason::kSuccess : static_cast<Reason>(body[0]);
}

Bytes with_id(const Part& part, std::uint16_t id) {
  Bytes packet(part.bytes.begin(), part.bytes.end());
  packet[part.header] = static_cast<std::uint8_t>(id >> 8);
  packet[part.header + 1U] = static_cast<std::uint8_t>(id);
  return packet;
}

Bytes connack_refusal(Version version, Reason reason) {
  const std::uint8_t first = first_byte_of(Type::kConnack);
  if (version != Version::k5) return {first, 2, 0, return_code_of(reason)};
  return {first, 3, 0, static_cast<std::uint8_t>(reason), 0};
}

Bytes ack_packet(Type type, std::uint16_t id, Reason reason) {
  Bytes packet{first_byte_of(type), 2, static_cast<std::uint8_t>(id >> 8),
               static_cast<std::uint8_t>(id)};
  if (reason != Reason::kSuccess) {
    packet[1] = 3;
    packet.push_back(static_cast<std::uint8_t>(reason));
  }
  return packet;
}

Bytes ping_request() {
  return {first_byte_of(Type::kPingreq), 0};
}

Bytes ping_response() {
  return {first_byte_of(Type::kPingresp), 0};
}

Bytes disconnect_packet(Version version, Reason reason) {
  const std::uint8_t first = first_byte_of(Type::kDisconnect);
  if (version != Version::k5 || reason == Reason::kSuccess) return {first, 0};
  return {first, 1, static_cast<std::uint8_t>(reason)};
}

}  // namespace remora::mqtt
