// SPDX-License-Identifier: Apache-2.0
//
// Tries out whether something serves at an address.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "daemon/health/state.h"
#include "daemon/packets/builder.h"

namespace remora {

class Prober {
 public:
  // Called on the loop's thread, once for each start(). A result may have been on its way
  // when its check was ended.
  using Handler = std::function<void(std::uint64_t id, CheckResult result)>;

  // Whether the SYN of a connection has left this host.
  using HasLeft = std::function<bool(const Endpoint& local, const Endpoint& to)>;

  virtual ~Prober() = default;

  // Does not wait. `id`: a new one for each.
  virtual void start(std::uint64_t id, const Endpoint& to) = 0;
  // Gives one up that has had no result; of another id: nothing happens.
  virtual void end(std::uint64_t id) = 0;
  // Whether it has left this host, so that silence says something about the broker. True also if
  // that is not known.
  virtual bool has_left(std::uint64_t id) const = 0;
};

}  // namespace remora
