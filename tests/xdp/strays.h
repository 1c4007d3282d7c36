// SPDX-License-Identifier: Apache-2.0
//
// Packets that belong to no connection of the differential test, of every kind that one of
// the balancers treats in its own way; and what each of them does with it. Where the two
// differ, they differ by design: docs/katran.md says why.
#pragma once

#include <random>
#include <span>

#include "tests/xdp/two_balancers.h"

namespace remora {

struct Stray {
  // Addressed to the service, where it is addressed to one at all. Empty: the service's
  // family has no such packet.
  Bytes frame;
  // Whether Katran gets it addressed to the VIP of the service's default group.
  bool has_vip = false;
};

struct StrayKind {
  const char* what;
  Stray (*make)(std::mt19937& random, const BalancedService& service);
  Fate ours, katran;
};

std::span<const StrayKind> stray_kinds();

// A client that no connection has.
Peer stranger(std::mt19937& random, const IpAddress& same_family);

}  // namespace remora
