// SPDX-License-Identifier: Apache-2.0
//
// Packets that belong to no connection of the differential test, of every kind that one of the
// balancers handles specially, and how each of them handles it. All differences are by design;
// docs/katran.md lists them.
#pragma once

#include <random>
#include <span>

#include "tests/xdp/two_balancers.h"

namespace remora {

struct Stray {
  // A packet to the service, if it has a destination at all. Empty if the service's address family
  // has no such packet.
  Bytes frame;
  // Whether Katran gets the packet with the VIP of the service's default group as destination.
  bool has_vip = false;
};

struct StrayKind {
  const char* what;
  Stray (*make)(std::mt19937& random, const BalancedService& service);
  Fate ours, katran;
};

std::span<const StrayKind> stray_kinds();

// A client without connections.
Peer stranger(std::mt19937& random, const IpAddress& same_family);

}  // namespace remora
