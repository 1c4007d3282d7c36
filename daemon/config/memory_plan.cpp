// SPDX-License-Identifier: Apache-2.0
//
// Sizes checked against what Linux 6.18 reports as `memlock` of such maps.
#include "daemon/config/memory_plan.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <fstream>
#include <string>

#include "bpf/abi.h"

namespace remora {
namespace {

// The kernel's struct htab_elem in front of the key.
constexpr std::uint64_t kElementHead = 48;
// Its struct bucket; their number is a power of two.
constexpr std::uint64_t kBucket = 16;
// An ARRAY rounds every value up to this.
constexpr std::uint64_t kArrayUnit = 8;

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

template <class Key, class Value>
TableMemory hash_table(std::string_view table, std::uint64_t entries) {
  const std::uint64_t element =
      kElementHead + round_up(sizeof(Key), 8) + round_up(sizeof(Value), 8);
  const std::uint64_t buckets = std::bit_ceil(entries) * kBucket;
  return {table, entries, element + round_up(buckets, entries) / entries};
}

}  // namespace

FlowTableSizes::FlowTableSizes(std::uint64_t limit)
    : flows(limit + 1), places(limit), hint_rows((limit + HINTS_PER_ROW - 1) / HINTS_PER_ROW) {}

std::array<std::pair<const char*, std::uint64_t>, 4> FlowTableSizes::of_maps() const {
  return {{{"flows", flows}, {"places", places}, {"hints", hint_rows}, {"free_places", places}}};
}

std::vector<TableMemory> memory_plan(const Config& config) {
  const Limits& limits = config.limits;
  const FlowTableSizes flow_table(limits.flows);
  std::vector<TableMemory> plan = {
      {"flows", flow_table.flows, sizeof(flow_place)},
      hash_table<flow_key, __u32>("places", flow_table.places),
      {"hints", flow_table.hint_rows, sizeof(hint_row)},
      {"free_places", flow_table.places, sizeof(__u32)},
      hash_table<client_key, prediction>("predictions", limits.clients),
      hash_table<address, guard>("guards", limits.clients),
      hash_table<half_open_key, flow>("half_open", limits.half_open),
      hash_table<flow_key, __u32>("openings", limits.half_open),
      hash_table<topic_key, topic_text>("topics", limits.topics),
      hash_table<early_key, early_segment>("early_segments", limits.early_segments),
      // Two generations: a changed set of routes is written beside the old one.
      hash_table<__u64, route>("routes", 2 * kMaxRoutes),
      {"ch_rings", std::uint64_t{limits.groups} * RING_SIZE, kArrayUnit},
      {"events", std::uint64_t{limits.events_kib} * 1024, 1},
  };
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
