// SPDX-License-Identifier: Apache-2.0
//
// The maps of a flow table without the programs; making them needs root.
#pragma once

#include <bpf/bpf.h>

#include <cstdint>

#include "bpf/abi.h"
#include "daemon/base/fd.h"
#include "daemon/kernel/flow_table.h"

namespace remora {

inline Fd make_map(bpf_map_type type, std::uint32_t key_size, std::uint32_t value_size,
                   std::uint32_t entries, std::uint32_t flags = 0) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  return Fd(bpf_map_create(type, "test", key_size, value_size, entries, &options));
}

struct FlowTableMaps {
  explicit FlowTableMaps(std::uint32_t limit)
      : flows(make_map(BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(flow_place), limit + 1,
                       BPF_F_MMAPABLE)),
        places(make_map(BPF_MAP_TYPE_HASH, sizeof(flow_key), sizeof(__u32), limit)),
        free_places(make_map(BPF_MAP_TYPE_STACK, 0, sizeof(__u32), limit)),
        places_taken(
            make_map(BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(__u32), 1, BPF_F_MMAPABLE)) {}

  FlowTable::Maps fds() const {
    return {.flows = flows.get(),
            .places = places.get(),
            .free_places = free_places.get(),
            .places_taken = places_taken.get()};
  }

  Fd flows, places, free_places, places_taken;
};

inline flow_key numbered_key(std::uint32_t number) {
  flow_key key{};
  key.client.word[3] = number + 1;
  key.port = 40'000;
  return key;
}

// A flow that names its key.
inline flow numbered_flow(std::uint32_t number) {
  flow entry{};
  entry.isn = number;
  entry.state = FLOW_ESTABLISHED;
  return entry;
}

}  // namespace remora
