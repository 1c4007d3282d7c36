// SPDX-License-Identifier: Apache-2.0
//
// Input to the engine of a routed connection: its limits, and the group of a topic. Groups are
// numbers with a meaning to the caller only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "daemon/mqtt/answers.h"

namespace remora::router {

using Time = std::chrono::milliseconds;  // from any starting point; never goes back
using GroupId = std::uint32_t;
using SessionId = std::uint32_t;

// The client identifier of sessions at further brokers. Brokers of one cluster end a session when
// the same identifier connects to another of them.
enum class FurtherSessions { kSameId, kSuffixedId };

// Where SUBSCRIBE goes: to the home, or to the brokers of all groups.
enum class Subscribe { kHome, kAll };

struct Options {
  FurtherSessions further_sessions = FurtherSessions::kSameId;
  Subscribe subscribe = Subscribe::kHome;

  std::size_t longest_connect = 64 * 1024;  // a longer one is relayed as bytes
  std::size_t longest_packet = 256 * 1024;  // except PUBLISH, of which this limits the head
  // A PUBLISH of QoS 1 or 2 up to this size is kept until it is acknowledged, so that another
  // broker can get it if the first one dies.
  std::size_t longest_kept = 256 * 1024;
  // Limit of the bytes that wait: those of a client for its brokers, and those of brokers for the
  // client. Above it the other side is not read.
  std::size_t memory = 512 * 1024;

  Time connect_timeout{10'000};  // until the CONNECT is complete
  Time open_timeout{5'000};      // until a broker has answered the CONNECT
  unsigned quick_attempts = 3;   // attempts to open a session at once; then one every `retry`
  Time retry{1'000};
  Time give_up{15'000};  // time after the first failure of a group's brokers
  Time stable{10'000};   // the end of a session that lived for so long counts as no failure
  Time stall{60'000};    // a client that has waited for a broker for so long is disconnected
  Time linger{10'000};   // time to write the rest after the client has ended
};

// The routes of one service.
struct Routing {
  GroupId default_group = 0;
  std::vector<GroupId> groups;  // all groups
  // The group of a valid topic.
  std::function<GroupId(std::string_view topic)> group_of;
  // The group of the home of a client with this identifier, if it is known.
  std::function<std::optional<GroupId>(std::string_view client_id)> home_of;
  // The text for suffixed identifiers.
  std::function<std::string_view(GroupId group)> name_of;
  // What an MQTT 5 client is told whose home is evacuated; nothing: the connection just ends.
  std::optional<mqtt::Reason> farewell;
};

}  // namespace remora::router
