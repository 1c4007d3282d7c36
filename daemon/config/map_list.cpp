// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/map_list.h"

#include <algorithm>
#include <iterator>
#include <type_traits>

#include "bpf/abi.h"
#include "bpf/clients.h"
#include "bpf/half_open.h"
#include "daemon/config/memory_plan.h"

namespace remora {
namespace {

using Entries = std::uint64_t (*)(const Limits&);

constexpr auto kHash = BPF_MAP_TYPE_HASH;
constexpr auto kLru = BPF_MAP_TYPE_LRU_HASH;
constexpr auto kArray = BPF_MAP_TYPE_ARRAY;
constexpr auto kPerCpu = BPF_MAP_TYPE_PERCPU_ARRAY;

template <class T>
constexpr std::uint32_t size_of() {
  if constexpr (std::is_void_v<T>) {
    return 0;
  } else {
    return sizeof(T);
  }
}

template <class Key, class Value>
constexpr MapSpec row(std::string_view name, bpf_map_type type, Entries entries = nullptr,
                      unsigned traits = 0) {
  return {name, type, size_of<Key>(), size_of<Value>(), entries, traits};
}

// Working memory of the programs.
constexpr MapSpec scratch(std::string_view name) {
  return row<__u32, void>(name, kPerCpu);
}

// clang-format off
std::uint64_t client_sets(const Limits& limits) { return table_sets(limits.clients); }
std::uint64_t half_open_sets(const Limits& limits) { return half_open_table_sets(limits.half_open); }
std::uint64_t topic_texts(const Limits& limits) { return limits.topics; }
std::uint64_t segments(const Limits& limits) { return limits.early_segments; }
std::uint64_t group_numbers(const Limits& limits) { return limits.groups; }
std::uint64_t ring_slots(const Limits& limits) { return std::uint64_t{limits.groups} * RING_SIZE; }
std::uint64_t ring_bytes(const Limits& limits) { return std::uint64_t{limits.events_kib} * 1024; }
std::uint64_t flow_places(const Limits& limits) { return FlowTableSizes(limits.flows).flows; }
std::uint64_t flow_keys(const Limits& limits) { return FlowTableSizes(limits.flows).places; }
std::uint64_t hint_rows(const Limits& limits) { return FlowTableSizes(limits.flows).hint_rows; }
// Two generations, because a changed set of routes is written next to the old one.
std::uint64_t route_filters(const Limits&) { return 2 * kMaxRoutes; }
std::uint64_t names(const Limits&) { return 4096; }
std::uint64_t one(const Limits&) { return 1; }
std::uint64_t group_reals(const Limits&) { return 8192; }
// clang-format on

// In the order of docs/maps.md.
constexpr MapSpec kMaps[] = {
    row<service_key, service>("services", kHash),
    row<__u32, group>("groups", kArray, group_numbers),
    row<__u64, route>("routes", kHash, route_filters, kPlanned | kGeneration),
    row<__u32, shape_set>("shape_sets", kArray, nullptr, kGeneration),
    row<__u32, topic_keys>("topic_keys", kArray, nullptr, kLasting),
    row<__u32, settings>("settings", kArray),
    row<__u32, table_set>("predictions", kArray, client_sets, kPlanned | kGauged | kSets | kRanked),
    row<flow_key, __u32>("places", kHash, flow_keys, kPlanned | kFlowTable),
    row<__u32, flow_place>("flows", kArray, flow_places, kPlanned | kFlowTable),
    row<__u32, hint_row>("hints", kArray, hint_rows, kPlanned | kFlowTable),
    row<void, __u32>("free_places", BPF_MAP_TYPE_STACK, flow_keys, kPlanned | kFlowTable),
    row<__u32, __u32>("places_taken", kArray, nullptr, kFlowTable),
    row<topic_key, topic_text>("topics", kLru, topic_texts, kPlanned | kGauged),
    row<early_key, early_segment>("early_segments", kLru, segments, kPlanned | kGauged),
    row<address, early_share>("early_shares", kLru, segments, kPlanned),
    row<__u32, half_open_set>("half_open", kArray, half_open_sets, kPlanned | kGauged | kSets),
    row<__u32, reset_budget>("reset_budget", kArray),
    row<network, reset_share>("reset_shares", kLru),
    row<__u32, heartbeat>("heartbeat", kArray),
    row<__u32, router_room>("router_room", kArray),
    row<__u32, router_budget>("router_budget", kArray),
    row<client_key, client_way>("client_ways", kLru),
    row<name_key, __u32>("names", kHash, names, kLasting | kOwn),
    row<drain_key, __u32>("drains", kHash, group_reals, kLasting | kOwn),
    row<drain_key, __u32>("deaths", kHash, group_reals, kLasting | kOwn),
    row<__u32, ring_reading>("ring_reading", kHash, one, kOwn),
    row<address, check_way>("checks", kHash),
    row<check_flow_key, address>("check_flows", kLru),
    scratch("recents"),
    scratch("verdicts"),
    row<__u32, __u32>("root_array", BPF_MAP_TYPE_PROG_ARRAY),
    scratch("handoffs"),
    scratch("scratches"),
    scratch("replies"),
    scratch("frames"),
    scratch("translations"),
    scratch("records"),
    row<__u32, __u32>("ch_rings", kArray, ring_slots, kPlanned),
    row<__u32, real>("reals", kArray),
    row<__u32, gateway>("ctl_array", kArray),
    row<__u32, vip_stats>("stats", kPerCpu, group_numbers),
    row<__u32, __u64>("counters", kPerCpu),
    row<__u32, message_counts>("messages", kPerCpu, group_numbers),
    row<void, void>("events", BPF_MAP_TYPE_RINGBUF, ring_bytes, kPlanned),
};

}  // namespace

std::span<const MapSpec> map_list() {
  return kMaps;
}

const MapSpec* find_map_spec(std::string_view name) {
  const auto* const found = std::ranges::find(kMaps, name, &MapSpec::name);
  return found == std::end(kMaps) ? nullptr : found;
}

}  // namespace remora
