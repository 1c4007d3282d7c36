// SPDX-License-Identifier: Apache-2.0
//
// Questions of a worker to the rest of the daemon, and its reports. All functions are called on the
// worker's thread.
#pragma once

#include <functional>
#include <optional>

#include "daemon/base/endpoint.h"
#include "daemon/router/actions.h"
#include "daemon/router/options.h"

namespace remora::router {

// The fate of the sessions at a real.
enum class Fate {
  kStay,
  kMove,   // it takes no new connections: they move as soon as nothing is under way
  kEvict,  // likewise, and connections whose home cannot move end
  kBreak,  // it is dead: they move at once
};

// How a session gets to its real.
struct Approach {
  Endpoint real;
  std::optional<Address> source = {};  // of this host; nothing: the kernel chooses
  // The service, if the real expects a PROXY header, which names the client and it.
  std::optional<Endpoint> announced = {};
};

struct Surroundings {
  Routing routing;
  // The real for this attempt; no value if the group has none. Must not block. If the key is 0, the
  // client has no identifier.
  std::function<std::optional<Approach>(const OpenSession& attempt, const Address& client)>
      real_for;

  // Called when a client has connected, and when its connection has ended.
  std::function<void(const Address& client)> on_begin = [](const Address&) {};
  std::function<void(const Address& client)> on_end = [](const Address&) {};
  // Called at most once a second for each connection, and once for each group.
  std::function<void(const Address& client, const Learn& lesson)> on_lesson;
  std::function<void(const Address& client, const RememberHome& home)> on_home;
  std::function<void(const Address& client)> on_other_protocol;

  // The fate of sessions that exist.
  std::function<Fate(GroupId group, const Endpoint& real)> fate_of = [](GroupId, const Endpoint&) {
    return Fate::kStay;
  };
  std::uint32_t evictions_per_second = 0;

  // Called when a session at a real begins, and when it ends.
  std::function<void(GroupId group, const Endpoint& real)> on_open = [](GroupId, const Endpoint&) {
  };
  std::function<void(GroupId group, const Endpoint& real)> on_close = [](GroupId, const Endpoint&) {
  };
};

}  // namespace remora::router
