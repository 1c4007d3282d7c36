// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/flow_table.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace remora {
namespace {

std::system_error failure(const char* what) {
  return {errno, std::generic_category(), what};
}

bool same_key(const flow_key& left, const flow_key& right) {
  return std::memcmp(&left, &right, sizeof(flow_key)) == 0;
}

void store_state(flow_place& place, __u8 state) {
  std::atomic_ref(place.flow.state).store(state, std::memory_order_release);
}

}  // namespace

void FlowTable::Unmap::operator()(flow_place* first) const {
  ::munmap(first, bytes);
}

FlowTable::FlowTable(const Maps& maps)
    : places_(maps.places, "places"),
      places_taken_(maps.places_taken, "places_taken"),
      free_places_fd_(maps.free_places),
      entries_(map_info(maps.flows).max_entries) {
  const std::size_t bytes = std::size_t{entries_} * sizeof(flow_place);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, maps.flows, 0);
  if (memory == MAP_FAILED) throw failure("cannot map the flow table");
  flows_ = {static_cast<flow_place*>(memory), Unmap{bytes}};
}

flow_place* FlowTable::find_place(const flow_key& key) const {
  const auto place = places_.find(key);
  return place && *place < entries_ ? flows_.get() + *place : nullptr;
}

std::optional<flow> FlowTable::at(__u32 place, const flow_key& key) const {
  if (place >= entries_) return std::nullopt;
  const flow_place& there = flows_.get()[place];
  if (there.flow.state == 0 || !same_key(there.key, key)) return std::nullopt;
  return there.flow;
}

std::optional<flow> FlowTable::find(const flow_key& key) const {
  const auto place = places_.find(key);
  return place ? at(*place, key) : std::nullopt;
}

bool FlowTable::set_state(const flow_key& key, flow_state state) const {
  flow_place* place = find_place(key);
  if (place == nullptr || !same_key(place->key, key)) return false;
  store_state(*place, state);
  return true;
}

// As the packet path's take_place().
std::optional<__u32> FlowTable::take_place() const {
  __u32 place = 0;
  if (bpf_map_lookup_and_delete_elem(free_places_fd_, nullptr, &place) == 0) return place;
  const __u32 taken = places_taken_.find(0).value_or(0);
  if (taken + 1 >= entries_) return std::nullopt;
  places_taken_.put(0, taken + 1);
  return taken + 1;
}

bool FlowTable::put(const flow_key& key, const flow& entry) const {
  flow_place* place = find_place(key);
  if (place == nullptr) {
    const auto taken = take_place();
    if (!taken) return false;
    place = flows_.get() + *taken;
    places_.put(key, *taken);
    place->key = key;
  }
  place->flow = entry;
  return true;
}

bool FlowTable::erase(const flow_key& key) const {
  const auto number = places_.find(key);
  if (!number || *number >= entries_) return false;
  flow_place& place = flows_.get()[*number];
  store_state(place, 0);
  place.key = {};
  if (!places_.erase(key)) return false;
  if (bpf_map_update_elem(free_places_fd_, nullptr, &*number, BPF_ANY) != 0) {
    throw failure("cannot give back a place of the flow table");
  }
  return true;
}

std::pair<std::span<const flow_key>, std::span<const flow>> FlowReader::next() {
  keys_.clear();
  flows_.clear();
  while (keys_.empty()) {
    const auto [keys, places] = reader_.next();
    if (keys.empty()) return {};
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto entry = table_.at(places[i], keys[i]);
      if (!entry) continue;
      keys_.push_back(keys[i]);
      flows_.push_back(*entry);
    }
  }
  return {keys_, flows_};
}

}  // namespace remora
