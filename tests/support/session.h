// SPDX-License-Identifier: Apache-2.0
//
// Random MQTT sessions, as a client might write them: every version, every packet that clients
// send, properties of every kind, topic aliases set, used and set again.
//
// Some messages look like MQTT themselves: a reader that takes payload for packets sees
// PUBLISHes of topics that begin with kDecoy.
#pragma once

#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/mqtt_packets.h"

namespace remora {

inline constexpr std::string_view kDecoy = "decoy/";

// The number of topic aliases of a session: mostly the lowest numbers, a few of the highest.
inline constexpr std::size_t kMostAliases = 8;

struct SessionOptions {
  std::optional<MqttVersion> version{};  // any
  std::size_t packets = 30;              // after the CONNECT; a few sessions are one big message
  std::size_t longest_message = 300'000;
  std::size_t longest_topic = 65'535;
  std::vector<std::string> topics{};  // these are published often
  // The share of PUBLISHes that the standard forbids: invalid topics, aliases that were never
  // set.
  double mistakes = 0;
};

struct SentPublish {
  std::size_t offset = 0;  // in the stream
  int qos = 0;
  std::optional<std::string> topic;  // the topic that is meant; empty: the PUBLISH is a mistake

  bool operator==(const SentPublish&) const = default;
};

struct Session {
  MqttVersion version;
  Bytes stream;
  std::size_t connect_length;  // of the CONNECT at the stream's beginning
  std::vector<SentPublish> publishes;
};

Session random_session(const SessionOptions& options, std::mt19937& random);

// A short session: two changes of topic, and a third PUBLISH that returns to the first topic by
// its alias.
Session three_publishes();

// A topic name that the standard allows, of at most `longest` bytes, mostly short. Levels may be
// empty, begin with `$`, or contain characters of every length in UTF-8.
std::string random_topic(std::size_t longest, std::mt19937& random);

}  // namespace remora
