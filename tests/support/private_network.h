// SPDX-License-Identifier: Apache-2.0
//
// A network namespace for one test, with one cable. At the gateway's end the test writes and reads
// raw frames; the programs are attached to the LB's end.
//
// The calling thread enters the namespace, and leaves it with the destructor. The devices are
// gone with the namespace. Needs root.
#pragma once

#include <chrono>
#include <optional>

#include "tests/support/packet.h"

namespace remora {

class PrivateNetwork {
 public:
  // The LB's end gets `lb_address` (host order), with a prefix of 24 bits.
  explicit PrivateNetwork(std::uint32_t lb_address);
  ~PrivateNetwork();
  PrivateNetwork(const PrivateNetwork&) = delete;
  PrivateNetwork& operator=(const PrivateNetwork&) = delete;

  // Attaches to the LB's end: XDP natively, TC at ingress.
  void attach_xdp(int program_fd);
  void attach_tc(int program_fd);

  // Sends a frame from the gateway's end.
  void transmit(const Bytes& frame);
  // The next IPv4 or IPv6 frame that the LB sent, with its tags; empty if none comes in time.
  std::optional<Packet> receive(std::chrono::milliseconds wait);

  // Returns when the LB has handled everything that was transmitted so far.
  void settle();

 private:
  int home_ = -1, frames_ = -1, datagrams_ = -1;
  int lb_index_ = 0;
  std::uint32_t lb_address_;
};

}  // namespace remora
