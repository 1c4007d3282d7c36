// SPDX-License-Identifier: Apache-2.0
//
// An LB host's network for one test: a namespace with one cable. `lb` has the addresses; its
// packets arrive at the gateway's end, `gw`, where the test reads them.
//
// The calling thread enters the namespace, and leaves it with the destructor. The devices are
// gone with the namespace. Needs root.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/fd.h"

namespace remora {

class LbNetwork {
 public:
  // `lb` has 10.1.2.2/24 and fc00:2::2/64, no other routes, and no neighbour entry of a gateway.
  LbNetwork();
  ~LbNetwork();
  LbNetwork(const LbNetwork&) = delete;
  LbNetwork& operator=(const LbNetwork&) = delete;

  // Runs a shell command inside. Throws std::runtime_error if it fails.
  static void run(const std::string& command);

  // Default routes of both families to gateways that do not answer but have a neighbour entry:
  // 02:00:00:00:00:01.
  static void add_default_routes();

  // The next IP packet that `lb` sends, without its Ethernet header. Skips the kernel's own
  // neighbour and multicast messages. Empty if no packet has been sent.
  std::optional<std::vector<std::uint8_t>> next_packet();

  unsigned lb_index() const;

 private:
  void send_fence(std::uint32_t number) const;

  Fd home_;
  Fd frames_;
  std::uint32_t last_fence_ = 0;  // frames sent before it arrive before it
};

}  // namespace remora
