// SPDX-License-Identifier: Apache-2.0
//
// Katran's consistent hash ring: which real owns which slot of a VIP.
//
// Pure, and exact to the slot: for the same reals and weights the ring is the one that Katran's
// control plane builds. So Remora and Katran instances that share a router send a new connection to
// the same real.
// The algorithm is that of the Maglev paper (NSDI 2016, §3.4).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "daemon/base/address.h"

namespace remora {

struct RingReal {
  Address address;
  std::uint32_t weight = 1;  // relative; 0: drained, gets no slot
  std::uint32_t index = 0;   // into the `reals` map, from 1
};

enum class RingVariant : std::uint8_t {
  kMaglev,    // Katran's default: weights count in the first turn only
  kMaglevV2,  // slots in proportion to the weights; Remora's default
};

// Slot -> index of a real, for RING_SIZE slots. The order of `reals` does not matter. If no real
// has a weight, every slot is 0, which the forwarder takes as "none".
std::vector<std::uint32_t> build_ring(std::span<const RingReal> reals, RingVariant variant);

// Whether a kMaglevV2 ring has a slot for each of these weights, of which none may be 0.
bool ring_has_room(std::span<const std::uint32_t> weights);

// The 64-bit hash of an address by which Katran orders and places reals.
std::uint64_t ring_hash(const Address& address);

}  // namespace remora
