// SPDX-License-Identifier: Apache-2.0
//
// What the engine of a routed connection is told from outside: its limits, and which group is
// meant. Groups are numbers that mean something to the caller only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace remora::router {

using Time = std::chrono::milliseconds;  // since any beginning; never goes back
using GroupId = std::uint32_t;
using SessionId = std::uint32_t;

// Which client identifier sessions at further brokers have. Brokers of one cluster end a session
// when the same identifier connects to another of them.
enum class FurtherSessions { kSameId, kSuffixedId };

// Where SUBSCRIBE goes: to the home, or to the brokers of all groups.
enum class Subscribe { kHome, kAll };

struct Options {
  FurtherSessions further_sessions = FurtherSessions::kSameId;
  Subscribe subscribe = Subscribe::kHome;

  std::size_t longest_connect = 64 * 1024;  // a longer one is relayed as bytes
  std::size_t longest_packet = 256 * 1024;  // of others than PUBLISH, and of a PUBLISH's head
  // A PUBLISH of QoS 1 or 2 up to this size is kept until it is acknowledged, so that another
  // broker can get it if the first one dies.
  std::size_t longest_kept = 256 * 1024;
  // What brokers have not taken of a client's bytes, or a client of its brokers'. Beyond that
  // the other side is not read.
  std::size_t memory = 512 * 1024;

  Time connect_timeout{10'000};  // until the CONNECT is complete
  Time open_timeout{5'000};      // until a broker has answered the CONNECT
  unsigned quick_attempts = 3;   // to open a session; then one every `retry`
  Time retry{1'000};
  Time give_up{15'000};  // after the first failure of a group's brokers
  Time stable{10'000};   // a session that lived so long is no failure when it ends
  Time stall{60'000};    // a client that has waited so long for a broker is let go
  Time linger{10'000};   // for what is not written yet, after the client has ended
};

// The routes of one service.
struct Routing {
  GroupId default_group = 0;
  std::vector<GroupId> groups;  // all of them
  // The group of a valid topic.
  std::function<GroupId(std::string_view topic)> group_of;
  // The group where a client with this identifier has its home, if that is known.
  std::function<std::optional<GroupId>(std::string_view client_id)> home_of;
  // Text for a suffixed identifier.
  std::function<std::string_view(GroupId group)> name_of;
};

}  // namespace remora::router
