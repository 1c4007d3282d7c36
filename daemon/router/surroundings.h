// SPDX-License-Identifier: Apache-2.0
//
// What a worker asks the rest of the daemon, and tells it. All of it is called on the worker's
// thread.
#pragma once

#include <functional>
#include <optional>

#include "daemon/base/endpoint.h"
#include "daemon/router/actions.h"
#include "daemon/router/options.h"

namespace remora::router {

struct Surroundings {
  Routing routing;
  // The real for this attempt; nothing if the group has none. Must not block. The client is one
  // without an identifier when the key is 0.
  std::function<std::optional<Endpoint>(const OpenSession& attempt, const Address& client)>
      real_for;

  std::function<void(const Address& client, const Learn& lesson)> on_lesson;
  std::function<void(const Address& client, const RememberHome& home)> on_home;
  std::function<void(const Address& client)> on_other_protocol;
};

}  // namespace remora::router
