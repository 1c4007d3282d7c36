// SPDX-License-Identifier: Apache-2.0
//
// The sizes have been checked against the `memlock` that Linux 6.18 reports for such maps.
#include "daemon/config/memory_plan.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <fstream>
#include <string>

#include "bpf/abi.h"
#include "daemon/config/map_list.h"

namespace remora {
namespace {

// The kernel's struct htab_elem, which precedes the key.
constexpr std::uint64_t kElementHead = 48;
// The kernel's struct bucket; the number of buckets is a power of two.
constexpr std::uint64_t kBucket = 16;
// An ARRAY rounds the size of every value up to a multiple of this.
constexpr std::uint64_t kArrayUnit = 8;

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Bytes for each entry of a map with this many entries.
std::uint64_t bytes_per_entry(const MapSpec& map, std::uint64_t entries) {
  switch (map.type) {
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_LRU_HASH: {
      const std::uint64_t element =
          kElementHead + round_up(map.key_size, 8) + round_up(map.value_size, 8);
      const std::uint64_t buckets = std::bit_ceil(entries) * kBucket;
      return element + round_up(buckets, entries) / entries;
    }
    case BPF_MAP_TYPE_RINGBUF:
      return 1;
    case BPF_MAP_TYPE_STACK:
      return map.value_size;
    default:
      return round_up(map.value_size, kArrayUnit);
  }
}

}  // namespace

FlowTableSizes::FlowTableSizes(std::uint64_t limit)
    : flows(limit + 1), places(limit), hint_rows((limit + HINTS_PER_ROW - 1) / HINTS_PER_ROW) {}

std::array<std::pair<const char*, std::uint64_t>, 4> FlowTableSizes::of_maps() const {
  return {{{"flows", flows}, {"places", places}, {"hints", hint_rows}, {"free_places", places}}};
}

std::vector<TableMemory> memory_plan(const Config& config) {
  std::vector<TableMemory> plan;
  for (const MapSpec& map : map_list()) {
    if (!map.is(kPlanned)) continue;
    const std::uint64_t entries = map.entries(config.limits);
    plan.push_back({map.name, entries, bytes_per_entry(map, entries)});
  }
  std::stable_sort(plan.begin(), plan.end(), [](const TableMemory& left, const TableMemory& right) {
    return left.bytes() > right.bytes();
  });
  return plan;
}

std::uint64_t total_bytes(const std::vector<TableMemory>& plan) {
  std::uint64_t sum = 0;
  for (const TableMemory& table : plan) sum += table.bytes();
  return sum;
}

std::optional<std::uint64_t> memory_available() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  std::uint64_t kib = 0;
  while (meminfo >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    meminfo.ignore(64, '\n');
  }
  return std::nullopt;
}

}  // namespace remora
