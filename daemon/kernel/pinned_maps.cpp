// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/pinned_maps.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "bpf/abi.h"
#include "daemon/base/bpf_errors.h"
#include "daemon/base/bpf_map.h"
#include "daemon/base/clock.h"
#include "daemon/base/lesson_clock.h"
#include "daemon/config/memory_plan.h"
#include "log/log.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

// The name of a folder in `next`. It says that the programs that use these maps, of that ABI, are
// attached or about to be.
constexpr std::string_view kMarker = "abi_";
constexpr const char* kSettings = "settings";
constexpr std::string_view kPredictions = "predictions";
constexpr std::size_t kFlowsAtOnce = 4096;
constexpr __u32 kOnly = 0;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

bool is_internal(const bpf_map* map) {
  return std::strchr(bpf_map__name(map), '.') != nullptr;  // .rodata, .bss
}

bool same_layout(const bpf_map* map, const bpf_map_info& pinned) {
  return pinned.type == bpf_map__type(map) && pinned.key_size == bpf_map__key_size(map) &&
         pinned.value_size == bpf_map__value_size(map) &&
         pinned.map_flags == bpf_map__map_flags(map);
}

bool is_hash(std::uint32_t type) {
  return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH;
}

bpf_map* find_map(const std::vector<bpf_object*>& objects, const std::string& name) {
  for (bpf_object* object : objects) {
    if (bpf_map* map = bpf_object__find_map_by_name(object, name.c_str())) return map;
  }
  return nullptr;
}

const MapSpec& spec_of(const std::string& name) {
  const MapSpec* spec = find_map_spec(name);
  if (spec == nullptr) throw std::logic_error("the map " + name + " is not in the list of maps");
  return *spec;
}

void refuse_more_than_there_is(std::uint64_t needed) {
  if (const auto available = memory_available(); available && needed > *available) {
    fail("[limits] need " + std::to_string(needed >> 20) + " MiB for tables, but only " +
         std::to_string(*available >> 20) + " MiB of memory are available; lower clients or flows");
  }
}

void report(std::string_view map, const CopyCounts& counts) {
  log::info("{}: {} entries moved to the new table, {} found no room", map, counts.copied,
            counts.lost);
}

// The number in the name of the marker; empty if the name is not a marker's.
std::optional<std::uint32_t> marked_abi(const std::string& name) {
  std::uint32_t abi = 0;
  if (!name.starts_with(kMarker)) return std::nullopt;
  const auto [end, error] =
      std::from_chars(name.data() + kMarker.size(), name.data() + name.size(), abi);
  return error == std::errc() && end == name.data() + name.size() ? std::optional(abi)
                                                                  : std::nullopt;
}

void write_abi(int settings_fd, std::uint32_t abi) {
  settings now{};
  if (bpf_map_lookup_elem(settings_fd, &kOnly, &now) != 0 || now.abi == abi) return;
  now.abi = abi;
  bpf_map_update_elem(settings_fd, &kOnly, &now, BPF_ANY);
}

}  // namespace

PinnedMaps::PinnedMaps(fs::path folder, fs::path shared_root_array)
    : folder_(std::move(folder)), shared_root_array_(std::move(shared_root_array)) {}

bool PinnedMaps::is_shared(const std::string& map) const {
  return map == kRootArray && !shared_root_array_.empty();
}

fs::path PinnedMaps::pin_of(const std::string& map) const {
  if (is_shared(map)) return shared_root_array_;
  return made_.contains(map) ? next_folder() / map : folder_ / map;
}

int PinnedMaps::own_fd(const std::string& name) const {
  const auto own = own_.find(name);
  return own == own_.end() ? -1 : own->second.get();
}

bool PinnedMaps::is_fresh(std::string_view name) const {
  return made_.contains(name) && !carried_over_.contains(name);
}

// ---- existing pins ---------------------------------------------------------------------------

std::uint32_t PinnedMaps::pinned_abi() const {
  const Fd pinned(bpf_obj_get((folder_ / kSettings).c_str()));
  if (!pinned) return REMORA_ABI;
  EntryBytes value(map_info(pinned.get()).value_size);
  std::uint32_t abi = 0;
  constexpr std::size_t kOffset = offsetof(settings, abi);  // in every ABI
  if (value.size() >= kOffset + sizeof(abi) &&
      bpf_map_lookup_elem(pinned.get(), &kOnly, value.data()) == 0) {
    std::memcpy(&abi, value.data() + kOffset, sizeof(abi));
  }
  return abi;
}

void PinnedMaps::read_chain() {
  const std::uint32_t abi = pinned_abi();
  chain_ = AbiChain::from(
      abi, [this](std::string_view map) { return Fd(bpf_obj_get((folder_ / map).c_str())); });
  if (!chain_) {
    log::warn(
        "the pinned tables have the layout {}, which this remorad does not know: topic keys, "
        "names, "
        "drains and deaths are kept, the other tables are made anew",
        abi);
  } else if (abi != REMORA_ABI) {
    log::info("the pinned tables are converted from the layout {} to {}", abi, REMORA_ABI);
  }
}

PinnedMaps::Fate PinnedMaps::fate_of_flow_table(const std::vector<bpf_object*>& objects) {
  const MapConverter flows = chain_ ? chain_->converter_of("flows") : MapConverter();
  Fate fate = flows.changes() ? Fate::kCarriedOver : Fate::kKept;
  for (const MapSpec& spec : map_list()) {
    if (!spec.is(kFlowTable)) continue;
    const std::string name(spec.name);
    const Fd pinned(bpf_obj_get((folder_ / name).c_str()));
    if (!chain_ || !pinned) return Fate::kReplaced;
    const bpf_map_info info = map_info(pinned.get());
    if (flows.changes()) {
      // The other maps are filled from this one.
      if (name == "flows" && !flows.takes(info.key_size, info.value_size)) return Fate::kReplaced;
      continue;
    }
    const bpf_map* map = find_map(objects, name);
    if (!same_layout(map, info)) return Fate::kReplaced;
    if (info.max_entries != bpf_map__max_entries(map)) fate = Fate::kCarriedOver;
  }
  return fate;
}

PinnedMaps::Fate PinnedMaps::fate_of(const std::string& name, const bpf_map* map) {
  Fd pinned(bpf_obj_get((folder_ / name).c_str()));
  if (!pinned) return Fate::kNone;
  if (!chain_ && !spec_of(name).is(kLasting)) return Fate::kReplaced;
  // The old programs go on with the old settings and need the routes of the old generation.
  if (spec_of(name).is(kGeneration) && made_.contains(kSettings)) return Fate::kReplaced;
  const bpf_map_info info = map_info(pinned.get());
  MapConverter converter = chain_ ? chain_->converter_of(name) : MapConverter();
  if (converter.changes()) {
    if (!converter.takes(info.key_size, info.value_size)) return Fate::kReplaced;
    if (info.type == BPF_MAP_TYPE_RINGBUF) {
      former_ring_.emplace(std::move(pinned), std::move(converter));
      return Fate::kReplaced;
    }
  } else {
    if (!same_layout(map, info)) return Fate::kReplaced;
    if (info.max_entries == bpf_map__max_entries(map)) return Fate::kKept;
    if (info.type == BPF_MAP_TYPE_RINGBUF) return Fate::kKept;
    if (!is_hash(info.type) && !spec_of(name).is(kSets)) return Fate::kReplaced;
  }
  former_.emplace(name, Former{std::move(pinned), std::move(converter)});
  return Fate::kCarriedOver;
}

// ---- a start ---------------------------------------------------------------------------------

void PinnedMaps::claim(const std::vector<bpf_object*>& objects, const Config& config) {
  finish_switch_of_predecessor();
  read_chain();
  flow_table_ = fate_of_flow_table(objects);

  claim_map(kSettings, objects);
  std::set<std::string> decided = {kSettings};
  for (bpf_object* object : objects) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
      const std::string name = bpf_map__name(map);
      if (is_internal(map)) continue;
      if (decided.insert(name).second) claim_map(name, objects);
      bpf_map__set_pin_path(map, pin_of(name).c_str());
    }
  }
  std::uint64_t needed = 0;
  for (const TableMemory& table : memory_plan(config)) {
    if (made_.contains(table.table)) needed += table.bytes();
  }
  refuse_more_than_there_is(needed);
  for (const MapSpec& spec : map_list()) {
    if (spec.is(kOwn)) claim_own(spec, config.limits);
  }
}

void PinnedMaps::claim_map(const std::string& name, const std::vector<bpf_object*>& objects) {
  if (is_shared(name)) {
    // Its layout has been checked.
    if (!fs::exists(shared_root_array_)) made_.insert(name);
    return;
  }
  const bpf_map* map = find_map(objects, name);
  const bool is_of_flow_table = spec_of(name).is(kFlowTable);
  const Fate fate = is_of_flow_table ? flow_table_ : fate_of(name, map);
  if (fate == Fate::kKept) {
    if (spec_of(name).type == BPF_MAP_TYPE_RINGBUF) keep_ring_size(name, objects);
    return;
  }
  made_.insert(name);
  if (fate != Fate::kCarriedOver) return;
  carried_over_.insert(name);
  if (name != "flows") return;
  flows_.emplace(Fd(bpf_obj_get((folder_ / "flows").c_str())),
                 Fd(bpf_obj_get((folder_ / "places_taken").c_str())), chain_->converter_of(name));
}

// The ring may hold records that nobody has read yet.
void PinnedMaps::keep_ring_size(const std::string& name,
                                const std::vector<bpf_object*>& objects) const {
  const Fd pinned(bpf_obj_get((folder_ / name).c_str()));
  const std::uint32_t size = map_info(pinned.get()).max_entries;
  if (size == bpf_map__max_entries(find_map(objects, name))) return;
  log::warn("the ring keeps its size of {} KiB; to change it: remorad --detach first", size / 1024);
  for (bpf_object* object : objects) {
    if (bpf_map* ring = bpf_object__find_map_by_name(object, name.c_str())) {
      bpf_map__set_max_entries(ring, size);
    }
  }
}

void PinnedMaps::claim_own(const MapSpec& spec, const Limits& limits) {
  const std::string name(spec.name);
  Fd pinned(bpf_obj_get((folder_ / name).c_str()));
  MapConverter converter = chain_ ? chain_->converter_of(name) : MapConverter();
  if (pinned && !converter.changes()) {
    const bpf_map_info info = map_info(pinned.get());
    if (info.type == spec.type && info.key_size == spec.key_size &&
        info.value_size == spec.value_size) {
      own_.emplace(name, std::move(pinned));
      return;
    }
  }
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
  Fd map(bpf_map_create(spec.type, name.c_str(), spec.key_size, spec.value_size,
                        static_cast<__u32>(spec.entries(limits)), &options));
  if (!map) fail("cannot make the map " + name + ": " + because(errno) + remedy_for_load(errno));
  made_.insert(name);
  fs::create_directories(next_folder());
  if (bpf_obj_pin(map.get(), pin_of(name).c_str()) != 0) {
    fail("cannot pin " + pin_of(name).string() + ": " + because(errno));
  }
  if (pinned && converter.changes()) {
    carried_over_.insert(name);
    report(name, copy_entries(pinned.get(), map.get(), converter));
  }
  own_.emplace(name, std::move(map));
}

void PinnedMaps::carry_over(const MapFd& map_fd) {
  for (auto& [name, former] : former_) {
    report(name, spec_of(name).is(kSets)
                     ? copy_sets(name, former, map_fd, Into::kNew)
                     : copy_entries(former.map.get(), map_fd(name), former.converter));
  }
}

// Their hash depends on `topic_keys`, which every ABI keeps.
CopyCounts PinnedMaps::copy_sets(const std::string& name, Former& former, const MapFd& map_fd,
                                 Into into) {
  const int keys = map_fd("topic_keys");
  if (name == kPredictions) {
    return copy_clients(former.map.get(), former.converter, ClientTable(map_fd(name), keys), into);
  }
  return copy_half_open(former.map.get(), former.converter,
                        HalfOpenTable(map_fd("half_open"), keys), keys, into);
}

// A connection that is established while this runs is not counted; the limit of a client's
// connections is then higher by one until it ends.
void PinnedMaps::count_connections(const ClientTable& clients, const FlowTable& flows) {
  const auto now =
      static_cast<std::uint32_t>(LessonClock(monotonic_ns(), unix_ms(), 0, 0).at(monotonic_ns()));
  FlowReader reader(flows, kFlowsAtOnce);
  for (auto [keys, found] = reader.next(); !keys.empty(); std::tie(keys, found) = reader.next()) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (found[i].state == FLOW_ESTABLISHED)
        clients.count_connection({keys[i].client, keys[i].service, 0}, now);
    }
  }
}

void PinnedMaps::begin_switch(const MapFd& map_fd, const FlowTable::Maps& flow_table) {
  const FlowTable flows(flow_table);
  if (flows_) report("flows", flows_->move_to(flows));
  if (made_.contains(std::string(kPredictions))) {
    count_connections(ClientTable(map_fd(std::string(kPredictions)), map_fd("topic_keys")), flows);
  }
  if (made_.empty()) return;
  fs::create_directories(next_folder() / (std::string(kMarker) + std::to_string(REMORA_ABI)));
}

void PinnedMaps::settle(const MapFd& map_fd, const FlowTable::Maps& flow_table) {
  if (flows_) flows_->catch_up(FlowTable(flow_table));
  for (auto& [name, former] : former_) {
    if (spec_of(name).is(kSets)) {
      copy_sets(name, former, map_fd, Into::kInUse);
    } else {
      add_missing(former.map.get(), map_fd(name), former.converter);
    }
  }
  flows_.reset();
  former_.clear();
  publish_next();
  write_abi(map_fd(kSettings), REMORA_ABI);
  if (chain_) {
    for (const std::string_view map : chain_->gone()) ::unlink((folder_ / map).c_str());
  }
  remove_next(folder_);
}

void PinnedMaps::restore() noexcept {
  for (const std::string& name : made_) ::unlink(pin_of(name).c_str());
  remove_next(folder_);
  std::error_code not_empty;
  fs::remove(folder_, not_empty);
}

// ---- the folder `next` -----------------------------------------------------------------------

void PinnedMaps::finish_switch_of_predecessor() {
  std::error_code none;
  std::optional<std::uint32_t> abi;
  for (const auto& entry : fs::directory_iterator(next_folder(), none)) {
    if (const auto marked = marked_abi(entry.path().filename())) abi = marked;
  }
  if (abi) {
    log::info("a start that was killed had attached its programs: its tables are taken over");
    publish_next();
    const Fd settings(bpf_obj_get((folder_ / kSettings).c_str()));
    write_abi(settings.get(), *abi);
  }
  remove_next(folder_);
}

void PinnedMaps::publish_next() {
  std::error_code none;
  std::vector<fs::path> pins;
  for (const auto& entry : fs::directory_iterator(next_folder(), none)) {
    if (!entry.is_directory()) pins.push_back(entry.path());
  }
  for (const fs::path& pin : pins) fs::rename(pin, folder_ / pin.filename());
}

void PinnedMaps::remove_next(const fs::path& folder) noexcept {
  std::error_code ignored;
  fs::remove_all(folder / "next", ignored);
}

}  // namespace remora
