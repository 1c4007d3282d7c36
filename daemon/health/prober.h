// SPDX-License-Identifier: Apache-2.0
//
// Tests whether a server works at an address.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "daemon/health/state.h"
#include "daemon/packets/builder.h"

namespace remora {

class Prober {
 public:
  // Called on the loop's thread, once for each start(). A result may still arrive after end().
  using Handler = std::function<void(std::uint64_t id, CheckResult result)>;

  // Whether the SYN of a connection has left this host.
  using HasLeft = std::function<bool(const Endpoint& local, const Endpoint& to)>;

  virtual ~Prober() = default;

  // Starts a check without waiting. Each check needs a new id.
  virtual void start(std::uint64_t id, const Endpoint& to) = 0;
  // Gives up a check without a result. Does nothing for an unknown id.
  virtual void end(std::uint64_t id) = 0;
  // Whether the check has left this host, so that silence says something about the broker. True
  // also if this is unknown.
  virtual bool has_left(std::uint64_t id) const = 0;
};

}  // namespace remora
