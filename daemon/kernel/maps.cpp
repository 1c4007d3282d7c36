// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/maps.h"

#include "daemon/base/per_cpu.h"

namespace remora {

std::array<std::uint64_t, COUNTERS> read_counters(const Maps& maps) {
  std::array<std::uint64_t, COUNTERS> sums{};
  for (__u32 i = 0; i < COUNTERS; ++i) {
    for (const __u64 value : read_per_cpu<__u64>(maps.counters_fd, i, "counters")) {
      sums[i] += value;
    }
  }
  return sums;
}

vip_stats read_vip_stats(int stats_fd, std::uint32_t vip_num) {
  vip_stats sum{};
  for (const vip_stats& value : read_per_cpu<vip_stats>(stats_fd, vip_num, "stats")) {
    sum.packets += value.packets;
    sum.bytes += value.bytes;
  }
  return sum;
}

}  // namespace remora
