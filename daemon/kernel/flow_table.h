// SPDX-License-Identifier: Apache-2.0
//
// The flow table of bpf/abi.h from the daemon's side. It is the packet path's own memory.
//
// The packet path writes it at the same time: each field of a flow was true a moment ago, but not
// all fields at the same moment.
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
#include "daemon/kernel/mapped.h"

namespace remora {

class FlowTable {
 public:
  // Descriptors, which it does not own.
  struct Maps {
    int flows, places, free_places, places_taken;
  };
  // Completes the release of a place that a killed predecessor had begun. Throws
  // std::system_error.
  explicit FlowTable(const Maps& maps);

  std::optional<flow> find(const flow_key& key) const;

  // Writes only the state; the packet path may write all other fields. Returns false if there is
  // no such flow.
  bool set_state(const flow_key& key, flow_state state) const;

  // Does so for a flow in the state `from` only. Returns false if there is none in that state.
  bool change_state(const flow_key& key, flow_state from, flow_state to) const;

  // Adds a flow, or overwrites the existing one. Returns false if the table is full.
  bool put(const flow_key& key, const flow& entry) const;

  // Adds many flows to a table that no packet uses yet and that has none of them. Returns the
  // number of flows that found room: the first ones.
  std::size_t fill(std::span<const flow_key> keys, std::span<const flow> flows) const;

  // Like put(), but keeps an existing flow that has seen a later packet. Returns whether it was
  // written.
  bool put_if_newer(const flow_key& key, const flow& entry) const;

  // Returns false if there was none. If remorad is killed in here, reclaim() finds the place.
  bool erase(const flow_key& key) const;

  // The place of every flow by its key; used to count flows.
  const BpfMap<flow_key, __u32>& places() const { return places_; }

  // The flow at a place, if it belongs to that key.
  std::optional<flow> at(__u32 place, const flow_key& key) const;

  // The highest place that was ever used.
  __u32 last_place() const;

  // Whether the place is taken but holds no flow. The packet path leaves a place so for a moment,
  // a killed remorad for good.
  bool is_empty(__u32 place) const;

  // Gives back a place that has stayed empty.
  void reclaim(__u32 place) const;

 private:
  flow_place* find_place(const flow_key& key) const;
  flow_place& place_at(__u32 number) const { return flows_.data()[number]; }
  std::optional<__u32> take_place() const;
  bool claim(__u32 place) const;
  void give_back(__u32 place) const;
  void finish_giving_back() const;

  BpfMap<flow_key, __u32> places_;
  int free_places_fd_;
  __u32 entries_;
  Mapped<flow_place> flows_;
  Mapped<__u32> places_taken_;
};

// Reads the table in batches. Flows that are added or removed in the meantime may be missed or,
// rarely, read twice.
class FlowReader {
 public:
  // `table` must outlive it.
  FlowReader(const FlowTable& table, std::size_t batch)
      : table_(table), reader_(table.places(), batch) {}

  // Returns the next flows, about a batch. Both spans are empty when the whole table has been read;
  // the next call then starts again.
  std::pair<std::span<const flow_key>, std::span<const flow>> next();

 private:
  const FlowTable& table_;
  BatchReader<flow_key, __u32> reader_;
  std::vector<flow_key> keys_;
  std::vector<flow> flows_;
};

// Finds the places that were lost when a predecessor was killed, a batch at a time.
class PlaceReclaimer {
 public:
  // `table` must outlive it.
  explicit PlaceReclaimer(const FlowTable& table) : table_(table) {}

  // Examines the next places. Gives back a place that is empty in two passes in a row, because the
  // packet path leaves a place empty for microseconds only.
  void step();

  std::uint64_t reclaimed() const { return reclaimed_; }

 private:
  const FlowTable& table_;
  __u32 next_ = 1;
  std::vector<__u32> empty_, were_empty_;  // in this pass, in the previous one; ascending
  std::uint64_t reclaimed_ = 0;
};

}  // namespace remora
