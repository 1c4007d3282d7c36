// SPDX-License-Identifier: Apache-2.0
//
// The list of all pinned maps. Loading, the pins, the memory plan and the fill gauges follow it;
// tests compare it with the BPF programs and with docs/maps.md.
//
// Pure: it contains only descriptions.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "daemon/config/config.h"

namespace remora {

enum MapTrait : unsigned {
  kPlanned = 1 << 0,     // large: is in the memory plan
  kGauged = 1 << 1,      // `remoractl status` shows how full it is
  kFlowTable = 1 << 2,   // useless without the other maps of the flow table
  kLasting = 1 << 3,     // has the same layout in every ABI: taken over even from an unknown one
  kOwn = 1 << 4,         // no program names it: remorad makes it
  kGeneration = 1 << 5,  // belongs to the generation in `settings`: replaced together with it
  kSets = 1 << 6,        // a set-associative table (bpf/table.h): its entries are sets
  kRanked = 1 << 7,      // one of which only entries with a rank are counted
};

struct MapSpec {
  std::string_view name;
  bpf_map_type type;
  std::uint32_t key_size;    // bytes
  std::uint32_t value_size;  // bytes; 0: only the programs know it
  // Number of entries; nullptr: the program sets it.
  std::uint64_t (*entries)(const Limits&);
  unsigned traits;  // of MapTrait

  bool is(MapTrait trait) const { return (traits & trait) != 0; }
};

std::span<const MapSpec> map_list();

// nullptr if there is no such map.
const MapSpec* find_map_spec(std::string_view name);

}  // namespace remora
