// SPDX-License-Identifier: Apache-2.0
//
// The vocabulary of MQTT control packets: types, versions and reason codes.
//
// Section numbers are those of MQTT 5.0, unless a version is named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace remora::mqtt {

using ByteView = std::span<const std::uint8_t>;
using Bytes = std::vector<std::uint8_t>;

// The protocol's level, without the bit that bridges set (§3.1.2.2).
enum class Version : std::uint8_t { k31 = 3, k311 = 4, k5 = 5 };

// §2.1.2.
enum class Type : std::uint8_t {
  kConnect = 1,
  kConnack = 2,
  kPublish = 3,
  kPuback = 4,
  kPubrec = 5,
  kPubrel = 6,
  kPubcomp = 7,
  kSubscribe = 8,
  kSuback = 9,
  kUnsubscribe = 10,
  kUnsuback = 11,
  kPingreq = 12,
  kPingresp = 13,
  kDisconnect = 14,
  kAuth = 15,
};

constexpr Type type_of(std::uint8_t first_byte) {
  return static_cast<Type>(first_byte >> 4);
}

// §2.4: those that Remora sends or distinguishes. From kUnspecified on they mean failure.
enum class Reason : std::uint8_t {
  kSuccess = 0x00,
  kUnspecified = 0x80,
  kMalformed = 0x81,
  kProtocolError = 0x82,
  kBadUserOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kServerShuttingDown = 0x8b,
  kKeepAliveTimeout = 0x8d,
  kSessionTakenOver = 0x8e,
  kTopicNameInvalid = 0x90,
  kPacketIdInUse = 0x91,
  kPacketIdNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kRetainNotSupported = 0x9a,
  kQosNotSupported = 0x9b,
  kUseAnotherServer = 0x9c,
  kServerMoved = 0x9d,
};

constexpr bool is_failure(Reason reason) {
  return reason >= Reason::kUnspecified;
}

// The first byte of a PUBLISH (§3.3.1).
constexpr int qos_of(std::uint8_t first_byte) {
  return first_byte >> 1 & 3;
}
constexpr bool is_retained(std::uint8_t first_byte) {
  return (first_byte & 1) != 0;
}

}  // namespace remora::mqtt
