// SPDX-License-Identifier: Apache-2.0
//
// The memory that the kernel's tables of a configuration need, before they are made.
//
// Pure: the sizes are those of the kernel's own structures (docs/config.md).
// The maps are created with the same numbers of entries.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/config/config.h"

namespace remora {

struct TableMemory {
  std::string_view table;  // the map's name
  std::uint64_t entries;
  std::uint64_t bytes_per_entry;

  std::uint64_t bytes() const { return entries * bytes_per_entry; }
};

// Entries of the maps of the flow table (bpf/abi.h) for a number of flows.
struct FlowTableSizes {
  explicit FlowTableSizes(std::uint64_t limit);

  std::uint64_t flows;   // place 0 is never used
  std::uint64_t places;  // also for `free_places`
  // A hint for each flow. With more hints fewer flows would share one, but they would lie in more
  // pages than the CPU caches: with 65 536 flows that costs 25 ns per packet.
  std::uint64_t hint_rows;

  // The numbers by the maps' names.
  std::array<std::pair<const char*, std::uint64_t>, 4> of_maps() const;
};

// Every table whose size depends on the configuration, the largest first.
std::vector<TableMemory> memory_plan(const Config& config);

// The sum of a plan, bytes.
std::uint64_t total_bytes(const std::vector<TableMemory>& plan);

// Memory that the host can give, bytes; empty if /proc/meminfo does not tell.
std::optional<std::uint64_t> memory_available();

}  // namespace remora
