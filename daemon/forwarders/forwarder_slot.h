// SPDX-License-Identifier: Apache-2.0
//
// Probes the program in the forwarder's slot by test-running packets through it.
//
// Needs no access to the program's maps: they may belong to a Katran server.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/base/address.h"
#include "daemon/base/handles.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/packets/builder.h"

namespace remora {

class ForwarderSlot {
 public:
  // `ask` is the program of xdp/ask.bpf.c, which must outlive it. Throws std::system_error with
  // the remedy if packet sockets are refused.
  ForwarderSlot(int ask, unsigned interface_index);

  struct Answer {
    VipState state;
    bool over_ipv6;  // some of its reals have IPv6 addresses
  };
  // Runs a few RSTs from a documentation address, which show only in the forwarder's
  // statistics. `port`: network byte order. Throws std::system_error.
  Answer ask(const Address& vip, __be16 port) const;

  // Sends an IP packet wrapped by the forwarder. Returns false, with errno set, if the forwarder or
  // the kernel refuses it.
  bool send(const Bytes& packet) const;

 private:
  struct Outcome {
    std::uint32_t verdict;  // enum xdp_action
    Bytes frame;
  };
  // Returns no value, with errno set, if the kernel does not run the program.
  std::optional<Outcome> run(const Bytes& packet) const;

  int ask_;
  Fd socket_;
  MacAddress own_mac_;
};

}  // namespace remora
