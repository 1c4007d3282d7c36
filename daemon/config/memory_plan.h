// SPDX-License-Identifier: Apache-2.0
//
// What the kernel's tables of a configuration cost, before they are made.
//
// Pure: the sizes are those of the kernel's own structures (docs/config.md).
// The entries are also what the maps are created with.
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

// Entries of the maps of the flow table (bpf/abi.h) for so many flows.
struct FlowTableSizes {
  explicit FlowTableSizes(std::uint64_t limit);

  std::uint64_t flows;   // place 0 is nobody's
  std::uint64_t places;  // and of `free_places`
  // A hint for each flow. More of them would be shared by fewer flows, but lie in more
  // pages than the CPU has at hand: of 65 536 flows that costs each packet 25 ns.
  std::uint64_t hint_rows;

  // By the maps' names.
  std::array<std::pair<const char*, std::uint64_t>, 4> of_maps() const;
};

// Every table whose size depends on the configuration, the largest first.
std::vector<TableMemory> memory_plan(const Config& config);

// The sum of a plan, bytes.
std::uint64_t total_bytes(const std::vector<TableMemory>& plan);

// What the host can give, bytes; nothing where /proc/meminfo does not say it.
std::optional<std::uint64_t> memory_available();

}  // namespace remora
