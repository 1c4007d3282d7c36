// SPDX-License-Identifier: Apache-2.0
//
// The flow table of bpf/abi.h, as the daemon sees it: the packet path's own memory.
//
// The packet path goes on writing meanwhile: what is read of a flow was true a moment
// ago, each field for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bpf/abi.h"
#include "daemon/base/bpf_map.h"

namespace remora {

class FlowTable {
 public:
  // Descriptors, which it does not own.
  struct Maps {
    int flows, places, free_places, places_taken;
  };
  // Throws std::system_error.
  explicit FlowTable(const Maps& maps);

  std::optional<flow> find(const flow_key& key) const;

  // Leaves alone all else that the packet path may write. False: it is not there.
  bool set_state(const flow_key& key, flow_state state) const;

  // Adds a flow, or writes over the one that is there. False: the table is full.
  bool put(const flow_key& key, const flow& entry) const;

  // False: it was not there. Whoever is killed in here loses a place, no flow.
  bool erase(const flow_key& key) const;

  // By key, the place of every flow; for counting them.
  const BpfMap<flow_key, __u32>& places() const { return places_; }

  // The flow at a place, if it is that key's.
  std::optional<flow> at(__u32 place, const flow_key& key) const;

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(flow_place* first) const;
  };

  flow_place* find_place(const flow_key& key) const;
  std::optional<__u32> take_place() const;

  BpfMap<flow_key, __u32> places_;
  BpfMap<__u32, __u32> places_taken_;
  int free_places_fd_;
  __u32 entries_;
  std::unique_ptr<flow_place, Unmap> flows_;
};

// Reads the table in batches. Flows that come and go meanwhile may be missed or, rarely,
// read twice.
class FlowReader {
 public:
  // `table` must outlive it.
  FlowReader(const FlowTable& table, std::size_t batch)
      : table_(table), reader_(table.places(), batch) {}

  // The next flows, about a batch; both empty when the whole table was read, and the
  // next call begins anew.
  std::pair<std::span<const flow_key>, std::span<const flow>> next();

 private:
  const FlowTable& table_;
  BatchReader<flow_key, __u32> reader_;
  std::vector<flow_key> keys_;
  std::vector<flow> flows_;
};

}  // namespace remora
