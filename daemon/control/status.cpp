// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/status.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "daemon/base/callback.h"
#include "daemon/base/clock.h"
#include "daemon/protocol/counters.h"
#include "daemon/protocol/daemon_counters.h"
#include "version.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

json counter_of(const CounterFacts& facts, std::uint64_t value) {
  return {{"value", value},
          {"unit", facts.unit},
          {"class", to_string(facts.kind)},
          {"meaning", facts.meaning}};
}

// In shadow mode, connections were not handled in this way.
constexpr std::string_view kWouldBe[] = {"SYN_PREDICTED", "MISPREDICT", "KEPT_POLICY"};

json counters_of(const StatusSources& s) {
  const auto values = read_counters(s.maps);
  json all = json::object();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const CounterFacts& facts = kernel_counters()[i];
    json& counter = all[std::string(facts.name)] = counter_of(facts, values[i]);
    if (s.config.lb.mode == Mode::kShadow &&
        std::ranges::find(kWouldBe, facts.name) != std::end(kWouldBe))
      counter["meaning"] = "would be: " + std::string(facts.meaning);
  }
  return all;
}

json daemon_counters_of(const StatusSources& s) {
  const std::uint64_t values[] = {
#define REMORA_VALUE(name, unit, kind, value, meaning) value,
      REMORA_DAEMON_COUNTERS(REMORA_VALUE)
#undef REMORA_VALUE
  };
  json all = json::object();
  for (std::size_t i = 0; const CounterFacts& facts : daemon_counters())
    all[std::string(facts.name)] = counter_of(facts, values[i++]);
  return all;
}

json tables_of(const StatusSources& s) {
  json all = {{"flows", {{"used", s.flow_counts.used()}, {"limit", s.config.limits.flows}}}};
  for (const FillGauge& gauge : s.fill_gauges) {
    const auto used = gauge.used();
    all[std::string(gauge.name())] = {{"used", used ? json(*used) : json(nullptr)},
                                      {"limit", gauge.limit()}};
  }
  return all;
}

json programs_of(const StatusSources& s) {
  json all = json::object();
  const auto add = [&](const NamedProgram& program) {
    if (const auto info = info_of(program))
      all[program.name] = {{"id", info->id}, {"verified_instructions", info->instructions}};
  };
  for (const NamedProgram& program : s.programs.chain()) add(program);
  add(s.forwarder.program());
  return all;
}

// By verdict and QoS, as in bpf/abi.h.
json publishes_of(const message_counts& counts) {
  constexpr const char* kVerdicts[] = {"unjudged", "right", "wrong", "withheld"};
  constexpr std::size_t kQos = 3, kStep = 4;
  json all = json::object();
  for (const std::size_t verdict :
       {MESSAGE_RIGHT, MESSAGE_WRONG, MESSAGE_UNJUDGED, MESSAGE_WITHHELD}) {
    json& row = all[kVerdicts[verdict]];
    for (std::size_t qos = 0; qos < kQos; ++qos)
      row["qos" + std::to_string(qos)] = counts.of[verdict * kStep + qos];
  }
  return all;
}

// null if the real is not checked.
json health_of(const HealthState* state) {
  if (!state) return nullptr;
  constexpr std::uint64_t kMsNs = 1'000'000;
  const std::uint64_t now = monotonic_ns();
  json health = {{"alive", !state->is_dead()},
                 {"for_ms", (now - state->since_ns()) / kMsNs},
                 {"last", nullptr}};
  if (state->checked_at_ns() != 0) {
    health["last"] = {{"good", state->last().good},
                      {"what", state->last().what},
                      {"ms_ago", (now - state->checked_at_ns()) / kMsNs}};
  }
  return health;
}

json router_of(const Routing& routing) {
  const Routing::Counts counts = routing.counts();
  return {{"open", routing.is_open()},
          {"stalled", routing.is_stalled()},
          {"connections", counts.connections},
          {"memory_bytes", counts.memory}};
}

// null if there is none.
json problem_of(const std::string& problem) {
  return problem.empty() ? json(nullptr) : json(problem);
}

// null if there was none since the start.
json last_reload_of(const std::optional<ReloadResult>& last) {
  if (!last) return nullptr;
  return {{"s_ago", (monotonic_ns() - last->at_ns) / 1'000'000'000},
          {"refused", last->refusal ? json(*last->refusal) : json(nullptr)},
          {"changes", last->changes}};
}

json xdp_tx_of(const XdpTxWatch& watch) {
  json row = {{"driver", watch.driver()}, {"errors", watch.errors()}, {"grew_s_ago", nullptr}};
  if (const auto grew_at_ns = watch.grew_at_ns())
    row["grew_s_ago"] = (monotonic_ns() - *grew_at_ns) / 1'000'000'000;
  return row;
}

}  // namespace

json reals_of(const StatusSources& s) {
  json all = json::array();
  for (const Group& group : s.config.groups) {
    const std::uint16_t number = s.steering.matching()->groups.at(group.name);
    for (const Member& member : s.steering.reals().members(group.name)) {
      const auto index = s.ids.index_of(member.address);
      all.push_back({{"group", group.name},
                     {"real", to_string(member.address)},
                     {"state", to_string(member.state())},
                     {"evacuated", index && s.evacuation.is_evacuated(number, *index)},
                     {"weight", member.weight},
                     {"effective_weight", member.effective_weight()},
                     {"flows", index ? s.flow_counts.of_real(number, *index) : 0},
                     {"routed", s.routing.sessions_at(number, member.address)},
                     {"health", health_of(s.health.find(group.name, member.address))}});
    }
  }
  return all;
}

json groups_of(const StatusSources& s) {
  json all = json::array();
  for (std::uint16_t number = 0; number < s.config.limits.groups; ++number) {
    const auto name = s.ids.group_name(number);
    const auto entry = s.maps.groups.find(number);
    if (!name || !entry) continue;
    const Address vip(entry->vip);
    json row = {{"name", *name},
                {"number", number},
                {"vip", vip.is_unspecified() ? json(nullptr) : json(to_string(vip))},
                {"configured", entry->in_use != 0},
                {"affinity", entry->affinity == AFFINITY_CLIENT ? "client" : "connection"},
                {"policy", to_string(static_cast<Policy>(entry->policy))}};
    if (const auto traffic = s.forwarder.traffic_of(entry->vip_num)) {
      row["packets"] = traffic->packets;
      row["bytes"] = traffic->bytes;
    } else {
      const auto state = s.forwarder.state_of(*name);
      row["katran"] = state ? json(to_string(*state)) : json(nullptr);
    }
    row["publishes"] = publishes_of(read_messages(s.maps, number));
    all.push_back(std::move(row));
  }
  return all;
}

json readiness_of(const StatusSources& s) {
  json reasons = json::array();
  for (const std::string& problem : {s.attachment_problem, s.link_problem})
    if (!problem.empty()) reasons.push_back(problem);
  if (traits_of(s.config.lb.forwarder).has_our_reals) {
    if (!s.gateway) reasons.push_back("the gateway's Ethernet address is not known");
    for (const Group& group : s.config.groups) {
      const auto members = s.steering.reals().members(group.name);
      if (std::ranges::none_of(members, [](const Member& each) { return each.in_ring; }))
        reasons.push_back("group " + group.name + " has no real");
    }
  }
  return {{"ready", reasons.empty()}, {"reasons", reasons}};
}

json status_of(const StatusSources& s) {
  const HistoryStatus history = s.history.status();
  return {
      {"version", kVersion},
      {"instance", s.config.lb.instance},
      {"interface", s.config.lb.interface},
      {"mode", s.config.lb.xdp_mode == XdpMode::kNative ? "native" : "generic"},
      {"shadow", s.config.lb.mode == Mode::kShadow},
      {"forwarder", traits_of(s.config.lb.forwarder).word},
      {"uptime_s", (monotonic_ns() - s.started_at_ns) / 1'000'000'000},
      {"gateway_mac", s.gateway ? json(to_string(*s.gateway)) : json(nullptr)},
      {"attachment_problem", problem_of(s.attachment_problem)},
      {"link_problem", problem_of(s.link_problem)},
      {"last_reload", last_reload_of(s.last_reload)},
      {"xdp_tx", xdp_tx_of(s.xdp_tx)},
      {"programs", programs_of(s)},
      {"groups", groups_of(s)},
      {"reals", reals_of(s)},
      {"router", router_of(s.routing)},
      {"tables", tables_of(s)},
      {"counters", counters_of(s)},
      {"daemon", daemon_counters_of(s)},
      {"history",
       {{"path", history.path.string()},
        {"ok", history.ok},
        {"error", history.error},
        {"clients", history.clients},
        {"bytes", history.bytes},
        {"max_bytes", history.max_bytes},
        {"bytes_per_day", history.bytes_per_day},
        {"trimmed_events", history.trimmed_events},
        {"trimmed_clients", history.trimmed_clients},
        {"written", history.written},
        {"merged", history.merged},
        {"lost", history.lost},
        {"queued", history.queue_depth},
        {"set_aside", history.set_aside ? json(history.set_aside->string()) : json(nullptr)}}},
  };
}

}  // namespace remora
