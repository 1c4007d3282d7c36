// SPDX-License-Identifier: Apache-2.0
// What the history is told and what it tells back. Values only.
//
// Times are Unix milliseconds (UTC), addresses are readable text. A topic is
// whatever bytes the client sent: it need not be valid UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace remora {

// What was done about a PUBLISH, or about a connection.
enum class Action {
  learned,   // rightly predicted; the client or its topic is new
  reset,     // mispredicted: the client was made to come back
  kept,      // mispredicted: the connection was left where it is
  dropped,   // mispredicted: discarded
  changing,  // mispredicted: left where it is, because its address changes all the time
  routed,    // by the router
  unjudged,  // the connection costs too much to judge; no topic is known
};

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
  std::string group;                      // where the topic belongs
  std::optional<std::string> from_group;  // mispredicts: the group the connection was on
  Action action;
  // What orders the lessons of a client, whatever the clock does: an observation with an
  // earlier one is about the past. In 16ths of a second.
  std::uint64_t lesson_time;
  // Of its report in the ring from which it was read; grows. The file notes the last one that it
  // has, and takes none twice. 0: not from a ring.
  std::uint64_t position = 0;
  std::int64_t uptime_ms = 0;  // when it was, since the boot; set by the history
};

struct LastSeen {
  std::string service;
  std::string client;
  std::int64_t at_ms;
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
