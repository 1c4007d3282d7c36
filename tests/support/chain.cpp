// SPDX-License-Identifier: Apache-2.0
#include "tests/support/chain.h"

#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <numeric>
#include <utility>

#include "bpf/half_open.h"
#include "daemon/config/memory_plan.h"
#include "forward.skel.h"
#include "health.skel.h"
#include "mqtt.skel.h"
#include "probe.skel.h"
#include "root.skel.h"

namespace remora {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

void require(int result, const std::string& what) {
  if (result < 0) fail(-result, what);
}

bpf_object* open_embedded(const void* (*bytes)(std::size_t*), const char* name) {
  DECLARE_LIBBPF_OPTS(bpf_object_open_opts, options);
  options.object_name = name;
  std::size_t size = 0;
  const void* elf = bytes(&size);
  bpf_object* object = bpf_object__open_mem(elf, size, &options);
  if (object == nullptr) fail(errno, std::string("open ") + name);
  return object;
}

// Lets `object` use the maps of `owner` that have the same names.
void share_maps(const bpf_object* owner, bpf_object* object) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) {
    const bpf_map* shared = bpf_object__find_map_by_name(owner, bpf_map__name(map));
    if (shared != nullptr)
      require(bpf_map__reuse_fd(map, bpf_map__fd(shared)),
              std::string("share ") + bpf_map__name(map));
  }
}

int program_fd(const bpf_object* object, const char* name) {
  const bpf_program* program = bpf_object__find_program_by_name(object, name);
  if (program == nullptr) fail(ENOENT, std::string("find program ") + name);
  return bpf_program__fd(program);
}

}  // namespace

Chain::Chain(const ChainLimits& limits)
    : mqtt_(open_embedded(remora_mqtt__elf_bytes, "mqtt")),
      root_(open_embedded(remora_root__elf_bytes, "root")),
      forwarder_(open_embedded(remora_forward__elf_bytes, "forward")),
      probe_(open_embedded(remora_probe__elf_bytes, "probe")),
      health_(open_embedded(remora_health__elf_bytes, "health")) {
  const FlowTableSizes flow_table(limits.flows);
  std::vector<std::pair<const char*, std::uint64_t>> sizes = {
      {"half_open", half_open_table_sets(limits.half_open)},
      {"predictions", table_sets(limits.clients)},
      {"topics", limits.topics},
      {"early_segments", limits.early_segments},
      {"early_shares", limits.early_segments},
      {"ch_rings", limits.rings * RING_SIZE},
      {"events", limits.event_bytes},
  };
  std::ranges::copy(flow_table.of_maps(), std::back_inserter(sizes));
  for (const auto& [name, entries] : sizes) {
    bpf_map* map = bpf_object__find_map_by_name(mqtt_.get(), name);
    if (map == nullptr) fail(ENOENT, std::string("find map ") + name);
    require(bpf_map__set_max_entries(map, static_cast<__u32>(entries)),
            std::string("size ") + name);
  }
  remora_mqtt::remora_mqtt__rodata constants{};
  constants.behind_katran = limits.behind_katran;
  constants.hints_in_all = static_cast<__u32>(flow_table.hint_rows * HINTS_PER_ROW);
  constants.early_in_all = limits.early_segments;
  constants.client_sets = table_sets(limits.clients);
  constants.half_open_sets = half_open_table_sets(limits.half_open);
  require(bpf_map__set_initial_value(bpf_object__find_map_by_name(mqtt_.get(), ".rodata"),
                                     &constants, sizeof(constants)),
          "set the constants of the mqtt stage");
  require(bpf_object__load(mqtt_.get()), "load the mqtt stage");
  for (bpf_object* object : {root_.get(), forwarder_.get(), probe_.get(), health_.get()}) {
    share_maps(mqtt_.get(), object);
    require(bpf_object__load(object), std::string("load ") + bpf_object__name(object));
  }
  flows_.emplace(FlowTable::Maps{.flows = map_fd("flows"),
                                 .places = map_fd("places"),
                                 .free_places = map_fd("free_places"),
                                 .places_taken = map_fd("places_taken")});
  put_in_slot(SLOT_MQTT, program_fd(mqtt_.get(), "xdp_mqtt"));
  if (!limits.behind_katran) put_in_slot(SLOT_FORWARDER, forwarder_fd());

  const auto keep = [](void* chain, void* record, std::size_t size) {
    Event event;
    std::memcpy(&event.head, record, sizeof(event.head));
    event.data.assign(static_cast<const char*>(record) + sizeof(event.head),
                      std::min<std::size_t>(size - sizeof(event.head), event.head.data_len));
    static_cast<Chain*>(chain)->taken_.push_back(std::move(event));
    return 0;
  };
  ring_.reset(ring_buffer__new(map_fd("events"), keep, this, nullptr));
  if (!ring_) fail(errno, "map the ring");
}

int Chain::map_fd(const char* name) const {
  for (const bpf_object* object : {mqtt_.get(), probe_.get(), health_.get()}) {
    const bpf_map* map = bpf_object__find_map_by_name(object, name);
    if (map != nullptr) return bpf_map__fd(map);
  }
  fail(ENOENT, std::string("find map ") + name);
}

int Chain::root_fd() const {
  return program_fd(root_.get(), "xdp_root");
}
int Chain::forwarder_fd() const {
  return program_fd(forwarder_.get(), "xdp_forward");
}
int Chain::probe_fd() const {
  return program_fd(probe_.get(), "remora_probe");
}
int Chain::health_out_fd() const {
  return program_fd(health_.get(), "remora_health_out");
}
int Chain::health_in_fd() const {
  return program_fd(health_.get(), "remora_health_in");
}

void Chain::put_in_slot(std::uint32_t slot, int program_fd) {
  map<std::uint32_t, int>("root_array").put(slot, program_fd);
}

void Chain::empty_slot(std::uint32_t slot) {
  map<std::uint32_t, int>("root_array").remove(slot);
}

void Chain::set_ring(std::uint32_t vip_num, const std::vector<std::uint32_t>& ring) {
  std::vector<std::uint32_t> keys(ring.size());
  std::iota(keys.begin(), keys.end(), vip_num * RING_SIZE);
  auto count = static_cast<std::uint32_t>(keys.size());
  require(bpf_map_update_batch(map_fd("ch_rings"), keys.data(), ring.data(), &count, nullptr),
          "write a ring");
}

message_counts Chain::messages(std::uint32_t group) const {
  std::vector<message_counts> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(map_fd("messages"), &group, per_cpu.data()) != 0)
    fail(errno, "read the messages of a group");
  message_counts sum{};
  for (const message_counts& counts : per_cpu) {
    for (std::size_t kind = 0; kind < MESSAGE_KINDS; ++kind) sum.of[kind] += counts.of[kind];
  }
  return sum;
}

std::uint64_t Chain::publishes() const {
  const bpf_map* map = bpf_object__find_map_by_name(mqtt_.get(), "messages");
  std::uint64_t sum = 0;
  for (std::uint32_t group = 0; group < bpf_map__max_entries(map); ++group) {
    const message_counts counts = messages(group);
    sum = std::accumulate(std::begin(counts.of), std::end(counts.of), sum);
  }
  return sum;
}

std::uint64_t Chain::counter(enum counter which) const {
  if (which == COUNT_PUBLISH) return publishes();
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  const auto key = static_cast<std::uint32_t>(which);
  if (bpf_map_lookup_elem(map_fd("counters"), &key, per_cpu.data()) != 0)
    fail(errno, "read a counter");
  return std::accumulate(per_cpu.begin(), per_cpu.end(), std::uint64_t{0});
}

std::vector<Event> Chain::take_events(int wait_ms) {
  require(wait_ms > 0 ? ring_buffer__poll(ring_.get(), wait_ms) : ring_buffer__consume(ring_.get()),
          "read the ring");
  return std::exchange(taken_, {});
}

RunResult run_xdp(int program_fd, Bytes frame) {
  Bytes out(4096);
  xdp_md before{}, after{};
  before.data_end = static_cast<std::uint32_t>(frame.size());
  DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<std::uint32_t>(frame.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<std::uint32_t>(out.size());
  options.ctx_in = &before;
  options.ctx_size_in = sizeof(before);
  options.ctx_out = &after;
  options.ctx_size_out = sizeof(after);
  options.repeat = 1;
  require(bpf_prog_test_run_opts(program_fd, &options), "run a program over a frame");

  out.resize(options.data_size_out);
  const auto frame_begin = out.begin() + (after.data - after.data_meta);
  return {options.retval, Bytes(out.begin(), frame_begin), Bytes(frame_begin, out.end())};
}

TcResult run_tc(int program_fd, Bytes frame) {
  Bytes out(4096);
  DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<std::uint32_t>(frame.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<std::uint32_t>(out.size());
  options.repeat = 1;
  require(bpf_prog_test_run_opts(program_fd, &options), "run a program over a frame");
  out.resize(options.data_size_out);
  return {static_cast<std::int32_t>(options.retval), out};
}

bool may_load_bpf() {
  return geteuid() == 0;
}

}  // namespace remora
