// SPDX-License-Identifier: Apache-2.0
#include "daemon/tables.h"

#include <bpf/libbpf.h>

#include <stdexcept>
#include <vector>

namespace remora {
namespace {

// One element of a per-CPU array, a value for each possible CPU.
template <class Value>
std::vector<Value> read_per_cpu(int fd, __u32 index, const char* name) {
  static_assert(sizeof(Value) % 8 == 0, "the kernel pads per-CPU values to 8 bytes");
  static const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) throw std::runtime_error("cannot find out the number of CPUs");
  std::vector<Value> values(static_cast<std::size_t>(cpus));
  if (bpf_map_lookup_elem(fd, &index, values.data()) != 0) {
    throw std::system_error(errno, std::generic_category(),
                            std::string("cannot read the map ") + name);
  }
  return values;
}

}  // namespace

std::array<std::uint64_t, COUNTERS> read_counters(const Tables& tables) {
  std::array<std::uint64_t, COUNTERS> sums{};
  for (__u32 i = 0; i < COUNTERS; ++i) {
    for (const __u64 value : read_per_cpu<__u64>(tables.counters_fd, i, "counters")) {
      sums[i] += value;
    }
  }
  return sums;
}

vip_stats read_vip_stats(const Tables& tables, std::uint32_t vip_num) {
  vip_stats sum{};
  for (const vip_stats& value : read_per_cpu<vip_stats>(tables.stats_fd, vip_num, "stats")) {
    sum.packets += value.packets;
    sum.bytes += value.bytes;
  }
  return sum;
}

void release_connection(const Tables& tables, const address& client) {
  if (auto counted = tables.guards.find(client); counted && counted->connections > 0) {
    --counted->connections;
    tables.guards.put(client, *counted);
  }
}

}  // namespace remora
