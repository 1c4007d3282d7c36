// SPDX-License-Identifier: Apache-2.0
#include "daemon/forwarders/katran_program.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

#include "bpf/abi.h"
#include "daemon/base/fd.h"
#include "daemon/kernel/pins.h"

namespace remora {
namespace {

// Katran's map layouts, on which the programs at both ends of the maps must agree.
struct Layout {
  const char* name;
  bpf_map_type type;
  const char* type_name;
  __u32 key_size;
  __u32 value_size;
};
constexpr Layout kVipMap = {"vip_map", BPF_MAP_TYPE_HASH, "hash", 20, 8};
constexpr Layout kChRings = {"ch_rings", BPF_MAP_TYPE_ARRAY, "array", 4, 4};
constexpr Layout kReals = {"reals", BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(real)};
constexpr Layout kCtlArray = {"ctl_array", BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(gateway)};
constexpr Layout kStats = {"stats", BPF_MAP_TYPE_PERCPU_ARRAY, "array per CPU", 4,
                           sizeof(vip_stats)};
constexpr Layout kLruMapping = {"lru_mapping", BPF_MAP_TYPE_ARRAY_OF_MAPS, "array of maps", 4, 4};

// Entries of one CPU's table.
constexpr __u32 kFlowsPerCpu = 131'072;
constexpr const char* kFlowTablePin = "katran_lru_";  // and the CPU's number

// A map of 512 times 65537 entries for QUIC servers, which are not used here.
constexpr const char* kServerIds = "server_id_map";
constexpr __u32 kFewServerIds = 16;

// A group has a VIP for each port of a service: more than Katran's own 512.
constexpr __u32 kMostVips = 16'384;

constexpr const char* kProgram = "balancer_ingress";

static_assert(sizeof(KatranVipKey) == kVipMap.key_size);
static_assert(sizeof(KatranVip) == kVipMap.value_size);
constexpr __u8 kTcp = 6;

std::string because(int error) {
  return std::strerror(error < 0 ? -error : error);
}

class Loader {
 public:
  Loader(std::string file, bpf_object* object) : file_(std::move(file)), object_(object) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("katran_object " + file_ + ": " + what);
  }

  // A map that Katran can do without; nullptr if it is missing or has another layout.
  bpf_map* find(const Layout& layout) const {
    bpf_map* map = bpf_object__find_map_by_name(object_, layout.name);
    const bool fits = map && bpf_map__type(map) == layout.type &&
                      bpf_map__key_size(map) == layout.key_size &&
                      bpf_map__value_size(map) == layout.value_size;
    return fits ? map : nullptr;
  }

  bpf_map* require(const Layout& layout) const {
    bpf_map* map = bpf_object__find_map_by_name(object_, layout.name);
    if (!map) fail(std::string("has no map ") + layout.name + "; is it Katran's balancer?");
    const auto differs = [&](const std::string& what, const std::string& is,
                             const std::string& wanted) {
      fail(std::string("the map ") + layout.name + " has another layout: its " + what + " is " +
           is + ", not " + wanted);
    };
    if (bpf_map__type(map) != layout.type)
      differs("type", libbpf_bpf_map_type_str(bpf_map__type(map)), layout.type_name);
    if (bpf_map__key_size(map) != layout.key_size)
      differs("key size", std::to_string(bpf_map__key_size(map)), std::to_string(layout.key_size));
    if (bpf_map__value_size(map) != layout.value_size)
      differs("value size", std::to_string(bpf_map__value_size(map)),
              std::to_string(layout.value_size));
    return map;
  }

  void give(const Layout& layout, int fd) const {
    if (const int error = bpf_map__reuse_fd(require(layout), fd); error != 0)
      fail(std::string("cannot be given the map ") + layout.name + ": " + because(error));
  }

  // Katran's program, or the only one that the object has.
  bpf_program* find_program() const {
    if (bpf_program* named = bpf_object__find_program_by_name(object_, kProgram)) return named;
    bpf_program* first = bpf_object__next_program(object_, nullptr);
    if (!first || bpf_object__next_program(object_, first))
      fail(std::string("has no program ") + kProgram);
    return first;
  }

 private:
  std::string file_;
  bpf_object* object_;
};

Fd make_flow_table() {
  return Fd(bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "katran_lru", sizeof(KatranConnectionKey),
                           sizeof(KatranConnection), kFlowsPerCpu, nullptr));
}

bool is_flow_table(int fd) {
  bpf_map_info info{};
  __u32 size = sizeof(info);
  return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == BPF_MAP_TYPE_LRU_HASH &&
         info.key_size == sizeof(KatranConnectionKey) &&
         info.value_size == sizeof(KatranConnection) && info.max_entries == kFlowsPerCpu &&
         info.map_flags == 0;
}

KatranVipKey key_of(const Address& vip, __be16 port) {
  KatranVipKey key{};
  key.port = port;
  key.address = katran_address(vip);
  key.protocol = kTcp;
  return key;
}

}  // namespace

KatranAddress katran_address(const Address& address) {
  KatranAddress katrans{};
  const auto bytes = address.bytes();
  std::copy(bytes.begin() + (address.is_ipv4() ? 12 : 0), bytes.end(), katrans.begin());
  return katrans;
}

NewPins::~NewPins() {
  for (const auto& path : paths_) ::unlink(path.c_str());
}

void NewPins::pin(int fd, const std::filesystem::path& path) {
  paths_.push_back(path);
  if (bpf_obj_pin(fd, path.c_str()) == 0) return;
  const int error = errno;
  paths_.pop_back();
  throw std::system_error(error, std::generic_category(), "cannot pin " + path.string());
}

KatranProgram::KatranProgram(const std::filesystem::path& path, const std::filesystem::path& folder,
                             const Maps& maps)
    : object_(bpf_object__open_file(path.c_str(), nullptr)) {
  const int opened = object_ ? 0 : errno;
  const Loader loader(path.string(), object_.get());
  if (!object_) loader.fail("cannot be opened: " + because(opened));

  vip_map_ = loader.require(kVipMap);
  lru_mapping_ = loader.require(kLruMapping);
  bpf_map__set_max_entries(vip_map_, std::max(kMostVips, bpf_map__max_entries(vip_map_)));
  stats_ = loader.find(kStats);
  loader.give(kChRings, maps.ch_rings);
  loader.give(kReals, maps.reals);
  loader.give(kCtlArray, maps.ctl_array);
  if (bpf_map* ids = bpf_object__find_map_by_name(object_.get(), kServerIds);
      ids && bpf_map__type(ids) == BPF_MAP_TYPE_ARRAY) {
    bpf_map__set_max_entries(ids, std::min(kFewServerIds, bpf_map__max_entries(ids)));
  }

  program_ = loader.find_program();
  bpf_program* other = nullptr;
  bpf_object__for_each_program(other, object_.get()) {
    bpf_program__set_autoload(other, other == program_);
  }
  // The type of the other programs in the chain: a prog array takes one type only.
  bpf_program__set_type(program_, BPF_PROG_TYPE_XDP);
  bpf_program__set_expected_attach_type(program_, BPF_XDP);
  bpf_program__set_flags(program_, 0);

  const int cpus = libbpf_num_possible_cpus();
  if (cpus > static_cast<int>(bpf_map__max_entries(lru_mapping_)))
    bpf_map__set_max_entries(lru_mapping_, static_cast<__u32>(cpus));
  const Fd pattern = make_flow_table();
  if (!pattern) loader.fail("cannot make a table of connections: " + because(errno));
  bpf_map__set_inner_map_fd(lru_mapping_, pattern.get());

  if (const int error = bpf_object__load(object_.get()); error != 0)
    loader.fail("the kernel refuses it: " + because(error) +
                "; the log at level debug shows the verifier's words");
  take_flow_tables(folder);
}

// Takes over the tables that are pinned in the folder, and makes those of the other CPUs.
void KatranProgram::take_flow_tables(const std::filesystem::path& folder) {
  for (int cpu = 0; cpu < libbpf_num_possible_cpus(); ++cpu) {
    const auto fail = [&](const std::string& what) {
      throw std::runtime_error("cannot " + what + " the table of connections of CPU " +
                               std::to_string(cpu) + ": " + because(errno));
    };
    const std::filesystem::path pin = folder / (kFlowTablePin + std::to_string(cpu));
    Fd table(bpf_obj_get(pin.c_str()));
    if (!table || !is_flow_table(table.get())) {
      ::unlink(pin.c_str());
      table = make_flow_table();
      if (!table) fail("make");
      new_pins_.pin(table.get(), pin);
    }
    const int fd = table.get();
    if (bpf_map_update_elem(bpf_map__fd(lru_mapping_), &cpu, &fd, BPF_ANY) != 0)
      fail("give Katran");
    flow_tables_.push_back(std::move(table));
  }
}

std::size_t KatranProgram::put_pins_back(const std::filesystem::path& folder) const {
  std::size_t missing = 0;
  for (std::size_t cpu = 0; cpu < flow_tables_.size(); ++cpu) {
    const std::filesystem::path pin = folder / (kFlowTablePin + std::to_string(cpu));
    if (is_pinned(pin, flow_tables_[cpu].get())) continue;
    ++missing;
    pin_again(pin, flow_tables_[cpu].get());
  }
  return missing;
}

void KatranProgram::remove_pins(const std::filesystem::path& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().filename().string().starts_with(kFlowTablePin)) ::unlink(entry.path().c_str());
  }
}

int KatranProgram::program_fd() const {
  return bpf_program__fd(program_);
}

int KatranProgram::stats_fd() const {
  return stats_ ? bpf_map__fd(stats_) : -1;
}

std::vector<KatranConnections> KatranProgram::connections() const {
  std::vector<KatranConnections> all;
  for (const Fd& table : flow_tables_) all.emplace_back(table.get(), "katran_lru");
  return all;
}

void KatranProgram::set_vips(const KatranVips& vips) const {
  constexpr std::size_t kBatch = 512;
  const BpfMap<KatranVipKey, KatranVip> map(bpf_map__fd(vip_map_), "vip_map of Katran");
  for (const auto& [at, vip] : vips) map.put(key_of(at.first, at.second), vip);
  std::vector<KatranVipKey> gone;
  BatchReader<KatranVipKey, KatranVip> reader(map, kBatch);
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    for (const KatranVipKey& key : keys) {
      const bool wanted = std::ranges::any_of(vips, [&](const auto& entry) {
        const KatranVipKey own = key_of(entry.first.first, entry.first.second);
        return std::memcmp(&own, &key, sizeof(key)) == 0;
      });
      if (!wanted) gone.push_back(key);
    }
  }
  for (const KatranVipKey& key : gone) map.erase(key);
}

}  // namespace remora
