// SPDX-License-Identifier: Apache-2.0
// The values that the history gets and returns.
//
// Times are Unix milliseconds (UTC), addresses are readable text. A topic is any bytes that the
// client sent: it need not be valid UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace remora {

// The action on a PUBLISH or a connection.
enum class Action {
  learned,      // rightly predicted; the client or its topic is new
  reset,        // mispredicted: the client was made to come back
  kept,         // mispredicted: the connection stayed where it was
  dropped,      // mispredicted: the PUBLISH was discarded
  changing,     // mispredicted: stayed, because the address keeps moving between groups
  routed,       // sent on by the router
  would_reset,  // mispredicted in shadow mode: stayed, and would have been reset,
  would_keep,   // kept
  would_drop,   // or dropped
  unjudged,     // the connection costs too much to judge; no topic is known
};

// As in the column `action` of the history.
const char* name_of(Action action);

// A service is known by its address and port: "10.1.50.200:1883". The name that the
// configuration gives it is a label for people.
struct ServiceName {
  std::string service;
  std::string name;

  bool operator==(const ServiceName&) const = default;
};

struct Observation {
  std::int64_t at_ms;
  std::string service;
  std::string client;
  std::string topic;
  std::string group;                      // the group to which the topic belongs
  std::optional<std::string> from_group;  // mispredicts: the group the connection was on
  Action action;
  // Orders the lessons of a client, whatever the clock does: an observation with an earlier time is
  // about the past. In 16ths of a second.
  std::uint64_t lesson_time;
  // Position of its report in the ring; grows. The file stores the last position, and takes no
  // report twice. 0: not from a ring.
  std::uint64_t position = 0;
  std::int64_t uptime_ms = 0;  // its time since the boot, set by the history
};

struct LastSeen {
  std::string service;
  std::string client;
  std::int64_t at_ms;
  std::int64_t uptime_ms = 0;  // likewise
};

// Where a routed client with a persistent session has its home, by its client identifier.
struct Home {
  std::string service;
  std::string client_id;
  std::string group;
  std::int64_t at_ms;
  std::int64_t uptime_ms = 0;  // likewise
};

// An order of an operator, or a change that remorad found by itself. Empty texts are unknown or do
// not apply.
struct Operation {
  std::int64_t at_ms;
  std::string what;
  std::optional<std::uint32_t> uid = {};  // of the user who ordered it over the control socket
  std::string real = {};
  std::string group = {};
  std::string client = {};
  std::string detail = {};
  std::string error = {};      // why it was refused
  std::int64_t uptime_ms = 0;  // likewise
};

struct KnownClient {
  std::string service;
  std::string client;
  std::string topic;
  std::string group;
  std::int64_t last_seen_ms;
  std::uint64_t lesson_time;
};

}  // namespace remora
