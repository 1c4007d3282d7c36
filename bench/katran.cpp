// SPDX-License-Identifier: Apache-2.0
#include "bench/katran.h"

#include "bench/chain.h"
#include "bench/frames.h"

namespace remora::bench {
namespace {

// In `stats`, after the entries of 512 VIPs: all packets to VIPs, and those without a
// connection.
constexpr std::uint32_t kConnectionStats = 512;

}  // namespace

Katran::Katran(const std::string& object)
    : katran_(object, {.vips = kGroups, .connections = kFlowLimit}) {
  for (std::uint32_t group = 0; group < kGroups; ++group) {
    for (const RingReal& one : reals_of(group)) {
      real entry{};
      entry.address[0] = one.address.ipv4();
      katran_.put_real(one.index, entry);
    }
    katran_.put_ring(group, build_ring(reals_of(group), RingVariant::kMaglevV2));
    katran_.put_vip(vip_of(group).abi(), kServicePort, group);
  }
  katran_.put_gateway(kGateway);
}

std::uint64_t Katran::misses() const {
  return katran_.stats(kConnectionStats).bytes;  // the second of its two numbers
}

}  // namespace remora::bench
