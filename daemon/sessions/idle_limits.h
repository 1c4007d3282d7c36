// SPDX-License-Identifier: Apache-2.0
//
// How long a flow may be without a packet from its client before it is considered ended.
//
// A client promises a packet within each keepalive, and its broker ends the connection after 1.5
// times as long (MQTT 3.1.1 §3.1.2.10). So the flow of a client that fell silent, or whose broker
// ended the connection, need not be kept for hours. A broker may give an MQTT 5 client another
// keepalive (MQTT 5.0 §3.2.2.3.14), in an answer that the packet path does not see.
#pragma once

#include <cstdint>
#include <map>

#include "bpf/abi.h"
#include "daemon/config/config.h"
#include "daemon/kernel/ids.h"

namespace remora {

class IdleLimits {
 public:
  // `ids` must know the services of `config`.
  IdleLimits(const Config& config, const Ids& ids);

  // The limit in nanoseconds, for a flow of the service with that number.
  std::uint64_t of(std::uint16_t service, const flow& entry) const;

 private:
  std::uint64_t of_established(std::uint16_t service, const flow& entry) const;

  std::uint64_t idle_ns_;
  std::map<std::uint16_t, std::uint16_t> server_keep_alives_;  // by service, if configured
};

}  // namespace remora
