// SPDX-License-Identifier: Apache-2.0
//
// Packets that belong to no connection of the differential test, of every kind that one of the
// balancers handles specially, and how each of them handles it. All differences are by design;
// docs/katran.md lists them.
#pragma once

#include <random>
#include <set>
#include <span>

#include "tests/xdp/two_balancers.h"

namespace remora {

// The test's random numbers, and clients without connections. None of these comes twice: Katran may
// remember it, with a real that the ring no longer has.
class Chance {
 public:
  explicit Chance(std::uint32_t seed) : random_(seed) {}

  std::uint32_t operator()() { return static_cast<std::uint32_t>(random_()); }
  Peer stranger(const IpAddress& same_family);

 private:
  std::mt19937 random_;
  std::set<IpAddress> strangers_;
};

struct Stray {
  // A packet to the service, if it has a destination at all. Empty if the service's address family
  // has no such packet.
  Bytes frame;
  // Whether Katran gets the packet with the VIP of the service's default group as destination.
  bool has_vip = false;
};

struct StrayKind {
  const char* what;
  Stray (*make)(Chance& random, const BalancedService& service);
  Fate ours, katran;
};

std::span<const StrayKind> stray_kinds();

}  // namespace remora
