// SPDX-License-Identifier: Apache-2.0
//
// Reads a client's whole stream as a broker would: every PUBLISH with its topic, aliases
// resolved. It follows the standard word by word, byte by byte, and shares no code with the code
// under test. Tests compare the packet walker with it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/mqtt_packets.h"

namespace remora {

enum class TopicState {
  kGood,
  kUnknownAlias,  // the topic is empty, and its alias, if any, is not set (MQTT 5.0 §3.3.2.1)
  kInvalid,       // not a name that the standard allows
};

struct ReadPublish {
  std::size_t offset = 0;  // of its first byte in the stream
  // One past the last byte that decides about its topic: the end of the topic, or in MQTT 5 of
  // the properties.
  std::size_t decided_at = 0;
  int qos = 0;
  std::string text;       // the topic field, which is empty if an alias is used
  std::size_t alias = 0;  // 0: none
  TopicState state = TopicState::kGood;
  std::string topic;  // with kGood
};

struct SessionReading {
  // The CONNECT's version; none if the stream does not begin with a CONNECT.
  std::optional<MqttVersion> version;
  // Its keepalive; none as long as the stream ends before it.
  std::optional<std::size_t> keep_alive;
  // The PUBLISHes that can be decided within the stream.
  std::vector<ReadPublish> publishes;
  // The start of the packet after which nothing can be read.
  std::optional<std::size_t> malformed_at;
};

SessionReading read_session(const Bytes& stream);

// Whether the standard allows the name: UTF-8 (RFC 3629 §3), at least one character, no
// NUL, no wildcard (MQTT 5.0 §1.5.4, §4.7.1, §4.7.3).
bool is_topic_name(std::string_view topic);

}  // namespace remora
