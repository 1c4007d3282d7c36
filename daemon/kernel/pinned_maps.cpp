// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/pinned_maps.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "bpf/abi.h"
#include "daemon/base/bpf_errors.h"
#include "daemon/base/bpf_map.h"
#include "log/log.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFlowTable[] = {"flows", "places", "hints", "free_places",
                                           "places_taken"};
constexpr std::uint32_t kNames = 4096;
constexpr std::uint32_t kDrains = 8192;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

bool is_internal(const bpf_map* map) {
  return std::strchr(bpf_map__name(map), '.') != nullptr;  // .rodata, .bss
}

// The entries of a hash whose limit changed go over into the new one.
void copy_entries(int from, const bpf_map_info& info, int to) {
  std::vector<std::uint8_t> key(info.key_size), next(info.key_size), value(info.value_size);
  std::uint64_t copied = 0, lost = 0;
  const void* at = nullptr;
  while (bpf_map_get_next_key(from, at, next.data()) == 0) {
    key = next;
    at = key.data();
    if (bpf_map_lookup_elem(from, key.data(), value.data()) != 0) continue;
    ++(bpf_map_update_elem(to, key.data(), value.data(), BPF_NOEXIST) == 0 ? copied : lost);
  }
  log::info("{}: {} entries moved to the new size, {} found no room", info.name, copied, lost);
}

bool is_of_flow_table(std::string_view map) {
  return std::ranges::find(kFlowTable, map) != std::end(kFlowTable);
}

bool same_layout(const bpf_map* map, const bpf_map_info& pinned) {
  return pinned.type == bpf_map__type(map) && pinned.key_size == bpf_map__key_size(map) &&
         pinned.value_size == bpf_map__value_size(map) &&
         pinned.map_flags == bpf_map__map_flags(map);
}

bool is_keyed_table(std::uint32_t type) {
  return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH;
}

bpf_map* find_map(const std::vector<bpf_object*>& objects, const std::string& name) {
  for (bpf_object* object : objects) {
    if (bpf_map* map = bpf_object__find_map_by_name(object, name.c_str())) return map;
  }
  return nullptr;
}

void refuse_more_than_there_is(std::uint64_t needed) {
  if (const auto available = memory_available(); available && needed > *available) {
    fail("[limits] need " + std::to_string(needed >> 20) + " MiB for tables, but only " +
         std::to_string(*available >> 20) + " MiB of memory are available; lower clients or flows");
  }
}

}  // namespace

PinnedMaps::PinnedMaps(fs::path folder, fs::path shared_root_array)
    : folder_(std::move(folder)), shared_root_array_(std::move(shared_root_array)) {}

fs::path PinnedMaps::pin_of(const std::string& map) const {
  return map == kRootArray && !shared_root_array_.empty() ? shared_root_array_ : folder_ / map;
}

int PinnedMaps::own_fd(const std::string& name) const {
  const auto own = own_.find(name);
  return own == own_.end() ? -1 : own->second.get();
}

bool PinnedMaps::is_fresh(std::string_view name) const {
  return std::ranges::find(fresh_, name) != fresh_.end();
}

void PinnedMaps::restore() noexcept {
  for (const std::string& name : fresh_) ::unlink(pin_of(name).c_str());
  for (const auto& [name, map] : displaced_) bpf_obj_pin(map.get(), (folder_ / name).c_str());
  std::error_code not_empty;
  fs::remove(folder_, not_empty);
}

bool PinnedMaps::is_same_abi() const {
  const Fd fd(bpf_obj_get((folder_ / "settings").c_str()));
  if (!fd) return true;
  settings now{};
  const __u32 zero = 0;
  return map_info(fd.get()).value_size == sizeof(now) &&
         bpf_map_lookup_elem(fd.get(), &zero, &now) == 0 && now.abi == REMORA_ABI;
}

PinnedMaps::FlowTableFate PinnedMaps::fate_of_flow_table(
    const std::vector<bpf_object*>& objects) const {
  FlowTableFate fate = FlowTableFate::kStays;
  for (const std::string_view name : kFlowTable) {
    const bpf_map* map = find_map(objects, std::string(name));
    const Fd pinned(bpf_obj_get(pin_of(std::string(name)).c_str()));
    if (!same_abi_ || !pinned) return FlowTableFate::kMadeAnew;
    const bpf_map_info info = map_info(pinned.get());
    if (!same_layout(map, info)) return FlowTableFate::kMadeAnew;
    if (info.max_entries != bpf_map__max_entries(map)) fate = FlowTableFate::kMoves;
  }
  return fate;
}

bool PinnedMaps::may_stay(const bpf_map* map, const bpf_map_info& pinned) const {
  if (is_of_flow_table(bpf_map__name(map))) return flow_table_ == FlowTableFate::kStays;
  return same_abi_ && same_layout(map, pinned) && pinned.max_entries == bpf_map__max_entries(map);
}

bool PinnedMaps::is_copied(const bpf_map* map, const bpf_map_info& pinned) const {
  return same_abi_ && same_layout(map, pinned) && is_keyed_table(pinned.type) &&
         !is_of_flow_table(bpf_map__name(map));
}

void PinnedMaps::claim(const std::vector<bpf_object*>& objects,
                       const std::vector<TableMemory>& plan) {
  same_abi_ = is_same_abi();
  if (!same_abi_) log::warn("the pinned tables are of another version: they are made anew");
  flow_table_ = fate_of_flow_table(objects);

  std::uint64_t needed = 0;
  std::vector<std::string> resized;
  for (bpf_object* object : objects) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
      const std::string name = bpf_map__name(map);
      const fs::path pin = pin_of(name);
      if (is_internal(map)) continue;
      bpf_map__set_pin_path(map, pin.c_str());
      if (is_fresh(name)) continue;
      Fd pinned(bpf_obj_get(pin.c_str()));
      if (pinned && pin == shared_root_array_) continue;  // its layout was looked at
      if (pinned) {
        const bpf_map_info info = map_info(pinned.get());
        if (may_stay(map, info)) continue;
        if (same_abi_ && same_layout(map, info) && info.type == BPF_MAP_TYPE_RINGBUF) {
          // It may hold records that nobody has read yet.
          log::warn("the ring keeps its size of {} KiB; to change it: remorad --detach first",
                    info.max_entries / 1024);
          for (bpf_object* other : objects) {
            if (bpf_map* ring = bpf_object__find_map_by_name(other, name.c_str())) {
              bpf_map__set_max_entries(ring, info.max_entries);
            }
          }
          continue;
        }
        if (is_copied(map, info)) resized.push_back(name);
        ::unlink(pin.c_str());
        displaced_.emplace(name, std::move(pinned));
      }
      fresh_.push_back(name);
      for (const TableMemory& table : plan) {
        if (table.table == name) needed += table.bytes();
      }
    }
  }
  refuse_more_than_there_is(needed);

  claim_own("names", {sizeof(name_key), sizeof(__u32), kNames});
  claim_own("drains", {sizeof(drain_key), sizeof(__u32), kDrains});
  claim_own("deaths", {sizeof(drain_key), sizeof(__u32), kDrains});
  for (const std::string& name : resized) resize(name, find_map(objects, name));
}

// The load finds the pin of the new one.
void PinnedMaps::resize(const std::string& name, const bpf_map* map) const {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = bpf_map__map_flags(map));
  const Fd fd(bpf_map_create(bpf_map__type(map), name.c_str(), bpf_map__key_size(map),
                             bpf_map__value_size(map), bpf_map__max_entries(map), &options));
  if (!fd || bpf_obj_pin(fd.get(), (folder_ / name).c_str()) != 0) {
    fail("cannot make the map " + name + " anew: " + because(errno) + remedy_for_load(errno));
  }
  const Fd& old = displaced_.at(name);
  copy_entries(old.get(), map_info(old.get()), fd.get());
}

void PinnedMaps::move_flows(const FlowTable::Maps& now) const {
  if (flow_table_ != FlowTableFate::kMoves) return;
  const auto old = [&](const char* name) { return displaced_.at(name).get(); };
  const FlowTable from({.flows = old("flows"),
                        .places = old("places"),
                        .free_places = old("free_places"),
                        .places_taken = old("places_taken")});
  const FlowTable to(now);
  FlowReader reader(from, 4096);
  std::uint64_t moved = 0, lost = 0;
  for (auto [keys, entries] = reader.next(); !keys.empty();
       std::tie(keys, entries) = reader.next()) {
    for (std::size_t i = 0; i < keys.size(); ++i) ++(to.put(keys[i], entries[i]) ? moved : lost);
  }
  log::info("flows: {} entries moved to the new size, {} found no room", moved, lost);
}

// Of a table that is made here, because no program names it.
void PinnedMaps::claim_own(const std::string& name, const Layout& layout) {
  const fs::path pin = folder_ / name;
  Fd map(bpf_obj_get(pin.c_str()));
  if (map && !same_abi_) {
    ::unlink(pin.c_str());
    displaced_.emplace(name, std::move(map));
  }
  if (!map) {
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
    map = Fd(bpf_map_create(BPF_MAP_TYPE_HASH, name.c_str(), layout.key_size, layout.value_size,
                            layout.entries, &options));
    if (!map) fail("cannot make the map " + name + ": " + because(errno) + remedy_for_load(errno));
    if (bpf_obj_pin(map.get(), pin.c_str()) != 0) {
      fail("cannot pin " + pin.string() + ": " + because(errno));
    }
    fresh_.push_back(name);
  }
  own_.emplace(name, std::move(map));
}

}  // namespace remora
