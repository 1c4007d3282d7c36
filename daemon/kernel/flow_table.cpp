// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/flow_table.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace remora {
namespace {

// Places that the reclaimer examines in one step: half a megabyte.
constexpr __u32 kReclaimBatch = 4096;

bool same_key(const flow_key& left, const flow_key& right) {
  return std::memcmp(&left, &right, sizeof(flow_key)) == 0;
}

void store_state(flow_place& place, __u8 state) {
  std::atomic_ref(place.flow.state).store(state, std::memory_order_release);
}

__u8 load_state(flow_place& place) {
  return std::atomic_ref(place.flow.state).load(std::memory_order_acquire);
}

void store_claim(flow_place& place, __u32 claim) {
  std::atomic_ref(place.claim).store(claim, std::memory_order_release);
}

__u32 load_claim(flow_place& place) {
  return std::atomic_ref(place.claim).load(std::memory_order_acquire);
}

// Whether `left` has seen packets that `right` has not. The packet path's clock has a resolution of
// some milliseconds.
bool is_newer(const flow& left, const flow& right) {
  if (left.seen_at_ns != right.seen_at_ns) return left.seen_at_ns > right.seen_at_ns;
  return static_cast<std::int32_t>(left.edge - right.edge) > 0;
}

}  // namespace

FlowTable::FlowTable(const Maps& maps)
    : places_(maps.places, "places"),
      free_places_fd_(maps.free_places),
      entries_(map_info(maps.flows).max_entries),
      flows_(maps.flows, entries_, "flows"),
      places_taken_(maps.places_taken, 1, "places_taken") {
  finish_giving_back();
}

flow_place* FlowTable::find_place(const flow_key& key) const {
  const auto place = places_.find(key);
  return place && *place < entries_ ? &place_at(*place) : nullptr;
}

std::optional<flow> FlowTable::at(__u32 place, const flow_key& key) const {
  if (place >= entries_) return std::nullopt;
  const flow_place& there = place_at(place);
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

bool FlowTable::change_state(const flow_key& key, flow_state from, flow_state to) const {
  flow_place* place = find_place(key);
  if (place == nullptr || !same_key(place->key, key)) return false;
  __u8 expected = from;
  return std::atomic_ref(place->flow.state).compare_exchange_strong(expected, to);
}

// The following three correspond to claim_place(), take_used_place() and take_new_place() of the
// packet path.
bool FlowTable::claim(__u32 place) const {
  if (place == 0 || place >= entries_) return false;
  __u32 expected = PLACE_FREE;
  return std::atomic_ref(place_at(place).claim).compare_exchange_strong(expected, PLACE_TAKEN);
}

std::optional<__u32> FlowTable::take_place() const {
  __u32 place = 0;
  while (bpf_map_lookup_and_delete_elem(free_places_fd_, nullptr, &place) == 0) {
    if (claim(place)) return place;
  }
  const std::atomic_ref taken(*places_taken_.data());
  if (taken.load() + 1 >= entries_) return std::nullopt;
  place = taken.fetch_add(1) + 1;
  return claim(place) ? std::optional(place) : std::nullopt;
}

bool FlowTable::put(const flow_key& key, const flow& entry) const {
  if (flow_place* place = find_place(key)) {
    place->key = key;
    place->flow = entry;
    return true;
  }
  const auto taken = take_place();
  if (!taken) return false;
  place_at(*taken).key = key;
  place_at(*taken).flow = entry;
  if (places_.insert(key, *taken)) return true;
  store_state(place_at(*taken), 0);  // the packet path has just added the flow
  give_back(*taken);
  return true;
}

std::size_t FlowTable::fill(std::span<const flow_key> keys, std::span<const flow> flows) const {
  const __u32 taken = last_place();
  const std::size_t count = std::min<std::size_t>(keys.size(), entries_ - 1 - taken);
  std::vector<__u32> numbers(count);
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = taken + 1 + static_cast<__u32>(i);
    place_at(numbers[i]) = {.key = keys[i], .claim = PLACE_TAKEN, .flow = flows[i]};
  }
  std::atomic_ref(*places_taken_.data()).store(taken + static_cast<__u32>(count));
  if (count > 0) places_.put_all(keys.first(count), numbers);
  return count;
}

bool FlowTable::put_if_newer(const flow_key& key, const flow& entry) const {
  const auto there = find(key);
  return (!there || is_newer(entry, *there)) && put(key, entry);
}

bool FlowTable::erase(const flow_key& key) const {
  const auto number = places_.find(key);
  if (!number || *number >= entries_) return false;
  store_state(place_at(*number), 0);
  if (!places_.erase(key)) return false;
  give_back(*number);
  return true;
}

// The note in place 0 covers the moment in which the place is free but not yet on the stack.
void FlowTable::give_back(__u32 place) const {
  place_at(place).key = {};
  store_claim(place_at(0), place);
  store_claim(place_at(place), PLACE_FREE);
  if (bpf_map_update_elem(free_places_fd_, nullptr, &place, BPF_ANY) != 0) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot give back a place of the flow table");
  }
  store_claim(place_at(0), 0);
}

void FlowTable::finish_giving_back() const {
  const __u32 place = load_claim(place_at(0));
  // If the stack is full, the place is on it already.
  if (place > 0 && place < entries_ && load_claim(place_at(place)) == PLACE_FREE) {
    bpf_map_update_elem(free_places_fd_, nullptr, &place, BPF_ANY);
  }
  store_claim(place_at(0), 0);
}

__u32 FlowTable::last_place() const {
  return std::min(std::atomic_ref(*places_taken_.data()).load(), entries_ - 1);
}

bool FlowTable::is_empty(__u32 place) const {
  return load_claim(place_at(place)) == PLACE_TAKEN && load_state(place_at(place)) == 0;
}

void FlowTable::reclaim(__u32 place) const {
  const flow_key key = place_at(place).key;
  if (const auto there = places_.find(key); there == place) places_.erase(key);
  give_back(place);
}

void PlaceReclaimer::step() {
  const __u32 last = table_.last_place();
  for (__u32 i = 0; i < kReclaimBatch && next_ <= last; ++i, ++next_) {
    if (!table_.is_empty(next_)) continue;
    if (std::ranges::binary_search(were_empty_, next_)) {
      table_.reclaim(next_);
      ++reclaimed_;
    } else {
      empty_.push_back(next_);
    }
  }
  if (next_ <= last) return;
  next_ = 1;
  were_empty_.swap(empty_);
  empty_.clear();
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
