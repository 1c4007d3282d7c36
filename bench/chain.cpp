// SPDX-License-Identifier: Apache-2.0
#include "bench/chain.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <numeric>
#include <random>
#include <regex>
#include <string_view>
#include <system_error>

#include "bench/katran.h"
#include "bpf/half_open.h"
#include "bpf/parse.h"
#include "daemon/config/memory_plan.h"
#include "daemon/kernel/client_table.h"
#include "daemon/kernel/mapped.h"
#include "daemon/mqtt/route_table.h"
#include "forward.skel.h"
#include "mqtt.skel.h"
#include "root.skel.h"

namespace remora::bench {
namespace {

// The defaults of docs/config.md, except for half-open flows: all flows of the benchmark are
// half open at the same time.
constexpr std::uint32_t kClients = 1'000'000;
constexpr std::uint32_t kHalfOpen = 1'048'576;  // so many that no set of 8 ever gets full
constexpr std::uint32_t kRoutes = 131'072;
constexpr std::uint32_t kEventBytes = 8 << 20;

constexpr std::uint32_t kRealsPerGroup = 3;
constexpr std::uint32_t kRoutesPerGroup = 1000;
constexpr std::uint32_t kGeneration = 1;

[[noreturn]] void fail(int error, const std::string& attempted) {
  throw std::system_error(error < 0 ? -error : error, std::generic_category(), attempted);
}

void check(int result, const std::string& attempted) {
  if (result < 0) fail(result, attempted);
}

std::uint32_t real_address(std::uint32_t group, std::uint32_t number) {
  return host_to_net32(0x0a010000u + (group << 8) + 101 + number);  // 10.1.<group>.101 …
}

std::uint32_t real_index(std::uint32_t group, std::uint32_t number) {
  return 1 + group * kRealsPerGroup + number;
}

template <class... Arguments>
std::string format(const char* pattern, Arguments... arguments) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, arguments...);
  return text;
}

std::string prefix(std::uint32_t group) {
  return format("plant/%02u/archive", group);
}

// A figure of the verifier's statistics, e.g. "verification time 1234 usec" and
// "processed 5678 insns".
VerifierCost parse_cost(const std::string& program, const std::string& log) {
  VerifierCost cost{program, 0, 0};
  std::smatch found;
  if (std::regex_search(log, found, std::regex("verification time (\\d+) usec")))
    cost.seconds = std::stod(found[1]) / 1e6;
  if (std::regex_search(log, found, std::regex("processed (\\d+) insns")))
    cost.instructions = std::stoull(found[1]);
  return cost;
}

}  // namespace

Counts operator-(const Counts& later, const Counts& earlier) {
  Counts difference;
  for (std::size_t i = 0; i < later.counters.size(); ++i)
    difference.counters[i] = later.counters[i] - earlier.counters[i];
  for (std::size_t i = 0; i < later.forwarded.size(); ++i)
    difference.forwarded[i] = later.forwarded[i] - earlier.forwarded[i];
  return difference;
}

struct Chain::Objects {
  Objects()
      : mqtt(remora_mqtt::open()), forward(remora_forward::open()), root(remora_root::open()) {
    if (!mqtt || !forward || !root) fail(errno, "open the BPF objects");
  }
  ~Objects() {
    ring_buffer__free(events);
    remora_root::destroy(root);
    remora_forward::destroy(forward);
    remora_mqtt::destroy(mqtt);
  }
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;

  remora_mqtt* mqtt;
  remora_forward* forward;
  remora_root* root;
  ring_buffer* events = nullptr;
};

namespace {

// The programs share maps by name.
void share_maps(bpf_object* from, bpf_object* to) {
  bpf_map* map;
  bpf_object__for_each_map(map, to) {
    const bpf_map* owner = bpf_object__find_map_by_name(from, bpf_map__name(map));
    if (owner) check(bpf_map__reuse_fd(map, bpf_map__fd(owner)), "share a map");
  }
}

VerifierCost load(bpf_object* object) {
  constexpr int kStatistics = 4;  // the kernel's BPF_LOG_STATS
  std::string log(1 << 16, '\0');
  bpf_program* program = bpf_object__next_program(object, nullptr);
  bpf_program__set_log_level(program, kStatistics);
  bpf_program__set_log_buf(program, log.data(), log.size());
  const std::string name = bpf_program__name(program);
  check(bpf_object__load(object), "load " + name);
  return parse_cost(name, log);
}

template <class Key, class Value>
void set(const bpf_map* map, const Key& key, const Value& value) {
  check(bpf_map__update_elem(map, &key, sizeof key, &value, sizeof value, BPF_ANY),
        std::string("write ") + bpf_map__name(map));
}

void limit(bpf_map* map, std::uint64_t entries) {
  check(bpf_map__set_max_entries(map, static_cast<std::uint32_t>(entries)), "set a table's size");
}

topic_keys random_keys() {
  std::mt19937_64 random(1);
  topic_keys keys{};
  for (auto& key : keys.start) key = random();
  for (auto& key : keys.length) key = random();
  for (auto& key : keys.word) key = random();
  for (auto& key : keys.level) key = random();
  return keys;
}

// An entry of a per-CPU array of 64-bit words, summed over all CPUs.
std::vector<std::uint64_t> sums(const bpf_map* map, std::uint32_t index) {
  const std::size_t words = bpf_map__value_size(map) / 8;
  std::vector<std::uint64_t> values(words * static_cast<std::size_t>(libbpf_num_possible_cpus()));
  check(bpf_map__lookup_elem(map, &index, sizeof index, values.data(), values.size() * 8, 0),
        std::string("read ") + bpf_map__name(map));
  std::vector<std::uint64_t> sum(words);
  for (std::size_t i = 0; i < values.size(); ++i) sum[i % words] += values[i];
  return sum;
}

}  // namespace

std::vector<RingReal> reals_of(std::uint32_t group) {
  std::vector<RingReal> reals;
  for (std::uint32_t i = 0; i < kRealsPerGroup; ++i)
    reals.push_back({Address::from_ipv4(real_address(group, i)), 1, real_index(group, i)});
  return reals;
}

Address vip_of(std::uint32_t group) {
  return Address::from_ipv4(host_to_net32(0x0a013300u + group));
}

Chain::Chain(const Katran* katran) : katran_(katran), objects_(std::make_unique<Objects>()) {
  objects_->mqtt->rodata->behind_katran = katran_ != nullptr;
  auto& maps = objects_->mqtt->maps;
  limit(maps.predictions, table_sets(kClients));
  objects_->mqtt->rodata->client_sets = table_sets(kClients);
  const FlowTableSizes flow_table(kFlowLimit);
  limit(maps.flows, flow_table.flows);
  limit(maps.places, flow_table.places);
  limit(maps.hints, flow_table.hint_rows);
  limit(maps.free_places, flow_table.places);
  objects_->mqtt->rodata->hints_in_all =
      static_cast<std::uint32_t>(flow_table.hint_rows * HINTS_PER_ROW);
  objects_->mqtt->rodata->early_in_all = bpf_map__max_entries(maps.early_segments);
  limit(maps.half_open, half_open_table_sets(kHalfOpen));
  objects_->mqtt->rodata->half_open_sets = half_open_table_sets(kHalfOpen);
  limit(maps.routes, kRoutes);
  limit(maps.events, kEventBytes);
  limit(maps.ch_rings, kGroups * RING_SIZE);
  verifier_costs_.push_back(load(objects_->mqtt->obj));
  share_maps(objects_->mqtt->obj, objects_->forward->obj);
  verifier_costs_.push_back(load(objects_->forward->obj));
  share_maps(objects_->mqtt->obj, objects_->root->obj);
  verifier_costs_.push_back(load(objects_->root->obj));

  set(maps.root_array, std::uint32_t{SLOT_MQTT}, bpf_program__fd(objects_->mqtt->progs.xdp_mqtt));
  insert_forwarder();
  fill_tables();
  fill_routes();
  objects_->events = ring_buffer__new(
      bpf_map__fd(maps.events), [](void*, void*, std::size_t) { return 0; }, nullptr, nullptr);
  if (!objects_->events) fail(errno, "map the ring");
}

Chain::~Chain() = default;

int Chain::entry_fd() const {
  return bpf_program__fd(objects_->root->progs.xdp_root);
}

void Chain::insert_forwarder() {
  set(objects_->mqtt->maps.root_array, std::uint32_t{SLOT_FORWARDER},
      katran_ ? katran_->entry_fd() : bpf_program__fd(objects_->forward->progs.xdp_forward));
}

void Chain::remove_forwarder() {
  const std::uint32_t slot = SLOT_FORWARDER;
  check(bpf_map__delete_elem(objects_->mqtt->maps.root_array, &slot, sizeof slot, 0),
        "empty the forwarder's slot");
}

void Chain::fill_tables() {
  auto& maps = objects_->mqtt->maps;
  const std::uint32_t zero = 0;

  service_key service_key{};
  service_key.address = Address::from_ipv4(host_to_net32(kServiceAddress)).abi();
  service_key.port = host_to_net16(kServicePort);
  set(maps.services, service_key, service{});

  settings in_force{};
  in_force.generation = kGeneration;
  in_force.resets_per_second = 1000;
  in_force.resets_per_client = 3;
  in_force.changes_per_day = 4;
  // No connection ends in the benchmark, so the connections of one client add up.
  in_force.connections_per_client = UINT32_MAX;
  in_force.link_mtu = 1500;
  set(maps.settings, zero, in_force);

  for (std::uint32_t number = 0; number < kGroups; ++number) {
    group entry{};
    entry.vip = vip_of(number).abi();
    entry.vip_num = number;
    entry.policy = POLICY_RESET;
    entry.in_use = 1;
    set(maps.groups, number, entry);

    for (const RingReal& one : reals_of(number)) {
      real entry_of_real{};
      entry_of_real.address[0] = one.address.ipv4();
      set(objects_->forward->maps.reals, one.index, entry_of_real);
    }
    const auto ring = build_ring(reals_of(number), RingVariant::kMaglevV2);
    for (std::uint32_t slot = 0; slot < RING_SIZE; ++slot)
      set(maps.ch_rings, number * RING_SIZE + slot, ring[slot]);
  }
  set(objects_->forward->maps.ctl_array, zero, kGateway);
}

void Chain::fill_routes() {
  const topic_keys keys = random_keys();
  std::vector<Route> routes;
  for (std::uint32_t number = 0; number < kGroups; ++number) {
    const auto add = [&](std::string filter) {
      routes.push_back({std::move(filter), std::to_string(number), 0});
    };
    const std::size_t before = routes.size();
    add(long_topic(number));
    add(prefix(number) + "/#");
    add(format("plant/%02u/line/+/door/+", number));
    add(format("plant/%02u/line/+/alarm/#", number));
    add(format("plant/+/state/%02u", number));
    for (std::uint32_t i = 0; routes.size() - before < kRoutesPerGroup; ++i) add(topic(number, i));
  }

  const RouteTable table(std::move(routes), keys);
  set(objects_->mqtt->maps.topic_keys, std::uint32_t{0}, keys);
  set(objects_->mqtt->maps.shape_sets, kGeneration & 1, table.shapes());
  for (const RouteTable::KernelRoute& known : table.kernel_routes()) {
    const auto group = static_cast<std::uint16_t>(std::stoul(std::string(known.group)));
    set(objects_->mqtt->maps.routes, route_key(known.hash, kGeneration, known.shape),
        route{kGeneration, group, 0});
  }
}

std::string Chain::topic(std::uint32_t group, std::uint32_t variant) {
  return format("plant/%02u/line/1/temp/%03u", group, variant);
}

std::string Chain::long_topic(std::uint32_t group) {
  std::string topic = format("plant/%02u/line/2", group);
  for (unsigned level = 0; topic.size() < 200 - 16; ++level) topic += format("/level%02u", level);
  topic.resize(200, 'x');
  return topic;
}

std::string Chain::door_topic(std::uint32_t group, std::uint32_t variant) {
  return format("plant/%02u/line/7/door/%03u", group, variant);
}

std::string Chain::prefixed_topic(std::uint32_t group, std::uint32_t variant) {
  return prefix(group) + format("/n/%05u", variant);
}

void Chain::predict(std::uint32_t first, std::uint32_t count, std::uint32_t group) {
  const ClientTable clients(bpf_map__fd(objects_->mqtt->maps.predictions),
                            bpf_map__fd(objects_->mqtt->maps.topic_keys));
  for (std::uint32_t i = 0; i < count; ++i) {
    client_key client{};
    client.client = Address::from_ipv4(host_to_net32(first + i)).abi();
    prediction known{};
    known.group = static_cast<std::uint16_t>(group);
    clients.put(client, known);
  }
}

void Chain::forget_half_open() {
  const Mapped<half_open_set> sets(bpf_map__fd(objects_->mqtt->maps.half_open),
                                   half_open_table_sets(kHalfOpen), "half_open");
  for (std::uint32_t number = 0; number < half_open_table_sets(kHalfOpen); ++number)
    std::ranges::fill(sets.data()[number].table.claim, 0);
}

void Chain::drain_events() {
  check(ring_buffer__consume(objects_->events), "read the ring");
}

Counts Chain::counts() const {
  Counts now;
  for (std::uint32_t i = 0; i < COUNTERS; ++i)
    now.counters[i] = sums(objects_->mqtt->maps.counters, i).front();
  for (std::uint32_t i = 0; i < bpf_map__max_entries(objects_->mqtt->maps.messages); ++i) {
    const auto kinds = sums(objects_->mqtt->maps.messages, i);
    now.counters[COUNT_PUBLISH] =
        std::accumulate(kinds.begin(), kinds.end(), now.counters[COUNT_PUBLISH]);
  }
  for (std::uint32_t i = 0; i < kGroups; ++i)
    now.forwarded[i] =
        katran_ ? katran_->packets_of(i) : sums(objects_->forward->maps.stats, i).front();
  return now;
}

bool Chain::is_real_of(std::uint32_t group, std::uint32_t address) {
  for (std::uint32_t i = 0; i < kRealsPerGroup; ++i)
    if (real_address(group, i) == address) return true;
  return false;
}

}  // namespace remora::bench
