// SPDX-License-Identifier: Apache-2.0
//
// Whoever is in the forwarder's slot, asked by running it: what it makes of a packet.
//
// Needs no access to its maps, so that it may be a Katran server's own.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "daemon/base/address.h"
#include "daemon/base/handles.h"
#include "daemon/packets/builder.h"

namespace remora {

// What becomes of connections to a VIP.
enum class VipState : std::uint8_t {
  kForwards,
  kUnknown,    // the forwarder does not know it
  kNoReal,     // it has no real for it
  kEmptySlot,  // there is no forwarder
};

std::string_view to_string(VipState state);

class ForwarderSlot {
 public:
  // `ask`: the program of xdp/ask.bpf.c, which must outlive it. Throws
  // std::system_error with the remedy when packet sockets are refused.
  ForwarderSlot(int ask, unsigned interface_index);

  struct Answer {
    VipState state;
    bool over_ipv6;  // some of its reals have IPv6 addresses
  };
  // Runs a few RSTs of an address for documentation, which leave no trace but in the
  // forwarder's statistics. `port`: network byte order. Throws std::system_error.
  Answer ask(const Address& vip, __be16 port) const;

  // Sends an IP packet as the forwarder wraps it. False when it does not take it, or the
  // kernel does not.
  bool send(const Bytes& packet) const;

 private:
  struct Outcome {
    std::uint32_t verdict;  // enum xdp_action
    Bytes frame;
  };
  // Nothing when the kernel does not run it, with errno set.
  std::optional<Outcome> run(const Bytes& packet) const;

  const int ask_;
  Fd socket_;
  MacAddress own_mac_;
};

}  // namespace remora
