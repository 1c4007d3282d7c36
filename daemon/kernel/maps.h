// SPDX-License-Identifier: Apache-2.0
//
// The BPF maps with their types.
#pragma once

#include <array>
#include <cstdint>

#include "daemon/base/bpf_map.h"
#include "daemon/kernel/client_table.h"
#include "daemon/kernel/flow_table.h"
#include "daemon/kernel/half_open_table.h"
#include "daemon/kernel/programs.h"

namespace remora {

struct Maps {
  explicit Maps(const Programs& programs)
      : services(programs.map_fd("services"), "services"),
        groups(programs.map_fd("groups"), "groups"),
        routes(programs.map_fd("routes"), "routes"),
        shape_sets(programs.map_fd("shape_sets"), "shape_sets"),
        topic_keys(programs.map_fd("topic_keys"), "topic_keys"),
        settings(programs.map_fd("settings"), "settings"),
        predictions(programs.map_fd("predictions"), programs.map_fd("topic_keys")),
        flows(programs.flow_table()),
        half_open(programs.map_fd("half_open"), programs.map_fd("topic_keys")),
        topics(programs.map_fd("topics"), "topics"),
        early_segments(programs.map_fd("early_segments"), "early_segments"),
        names(programs.map_fd("names"), "names"),
        drains(programs.map_fd("drains"), "drains"),
        deaths(programs.map_fd("deaths"), "deaths"),
        ring_reading(programs.map_fd("ring_reading"), "ring_reading"),
        checks(programs.map_fd("checks"), "checks"),
        check_flows(programs.map_fd("check_flows"), "check_flows"),
        heartbeat(programs.map_fd("heartbeat"), "heartbeat"),
        router_room(programs.map_fd("router_room"), "router_room"),
        client_ways(programs.map_fd("client_ways"), "client_ways"),
        rings(programs.map_fd("ch_rings"), "ch_rings"),
        reals(programs.map_fd("reals"), "reals"),
        gateways(programs.map_fd("ctl_array"), "ctl_array"),
        counters_fd(programs.map_fd("counters")),
        messages_fd(programs.map_fd("messages")),
        events_fd(programs.map_fd("events")) {}

  BpfMap<service_key, service> services;
  BpfMap<__u32, group> groups;
  BpfMap<__u64, route> routes;  // key: route_key() of bpf/topic.h
  BpfMap<__u32, ::shape_set> shape_sets;
  BpfMap<__u32, ::topic_keys> topic_keys;
  BpfMap<__u32, ::settings> settings;
  ClientTable predictions;
  FlowTable flows;
  HalfOpenTable half_open;
  BpfMap<topic_key, topic_text> topics;
  BpfMap<early_key, early_segment> early_segments;
  BpfMap<name_key, __u32> names;
  BpfMap<drain_key, __u32> drains;
  BpfMap<drain_key, __u32> deaths;
  BpfMap<__u32, ::ring_reading> ring_reading;
  BpfMap<address, check_way> checks;
  BpfMap<check_flow_key, address> check_flows;
  BpfMap<__u32, ::heartbeat> heartbeat;
  BpfMap<__u32, ::router_room> router_room;
  BpfMap<client_key, ::client_way> client_ways;
  BpfMap<__u32, __u32> rings;
  BpfMap<__u32, real> reals;
  BpfMap<__u32, gateway> gateways;
  int counters_fd;  // per CPU, see read_counters()
  int messages_fd;  // per CPU, see read_messages()
  int events_fd;
};

// PUBLISHes of connections at one group, by kind of message (bpf/abi.h), summed over all CPUs.
// Throws std::system_error.
message_counts read_messages(const Maps& maps, std::uint16_t group);

// Every counter, summed over all CPUs. PUBLISH is the sum of all messages. Throws
// std::system_error.
std::array<std::uint64_t, COUNTERS> read_counters(const Maps& maps);

// One counter other than PUBLISH, summed over all CPUs. Throws std::system_error.
std::uint64_t read_counter(const Maps& maps, enum counter which);

// One VIP's packets and bytes, summed over all CPUs, from a map with the layout of `stats`.
vip_stats read_vip_stats(int stats_fd, std::uint32_t vip_num);

}  // namespace remora
