// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/maps.h"

#include <iterator>
#include <numeric>

#include "daemon/base/per_cpu.h"

namespace remora {

message_counts read_messages(const Maps& maps, std::uint16_t group) {
  message_counts sum{};
  for (const message_counts& value :
       read_per_cpu<message_counts>(maps.messages_fd, group, "messages")) {
    for (std::size_t kind = 0; kind < MESSAGE_KINDS; ++kind) sum.of[kind] += value.of[kind];
  }
  return sum;
}

std::uint64_t read_counter(const Maps& maps, enum counter which) {
  const auto values = read_per_cpu<std::uint64_t>(maps.counters_fd, which, "counters");
  return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

std::array<std::uint64_t, COUNTERS> read_counters(const Maps& maps) {
  std::array<std::uint64_t, COUNTERS> sums{};
  for (std::uint32_t i = 0; i < COUNTERS; ++i)
    sums[i] = read_counter(maps, static_cast<enum counter>(i));
  const std::uint32_t groups = map_info(maps.messages_fd).max_entries;
  for (std::uint32_t group = 0; group < groups; ++group) {
    const message_counts messages = read_messages(maps, static_cast<std::uint16_t>(group));
    sums[COUNT_PUBLISH] =
        std::accumulate(std::begin(messages.of), std::end(messages.of), sums[COUNT_PUBLISH]);
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
