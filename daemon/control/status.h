// SPDX-License-Identifier: Apache-2.0
//
// The answers to `remoractl status` and `remoractl reals`, as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "daemon/base/driver_stats.h"
#include "daemon/config/config.h"
#include "daemon/control/reloader.h"
#include "daemon/events/reader.h"
#include "daemon/events/recorder.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/health/checks.h"
#include "daemon/kernel/fill_gauge.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/programs.h"
#include "daemon/routing/routing.h"
#include "daemon/sessions/ender.h"
#include "daemon/sessions/evacuation.h"
#include "daemon/sessions/flow_counts.h"
#include "daemon/sessions/severance.h"
#include "daemon/sessions/sweeper.h"
#include "daemon/steering/predictions.h"
#include "daemon/steering/steering.h"
#include "store/history.h"

namespace remora {

struct StatusSources {
  const Config& config;
  const Programs& programs;
  const Maps& maps;
  const Ids& ids;
  const Steering& steering;
  const Predictions& predictions;
  const Ender& ender;
  const Recorder& recorder;
  const EventReader& events;
  const Sweeper& sweeper;
  const FlowCounts& flow_counts;
  const Evacuation& evacuation;
  const Forwarder& forwarder;
  const Severance& severance;
  const Routing& routing;
  const HealthChecks& health;
  std::span<const FillGauge> fill_gauges;
  const History& history;
  const XdpTxWatch& xdp_tx;
  std::uint64_t started_at_ns;
  std::optional<MacAddress> gateway;
  const std::optional<ReloadResult>& last_reload;
  std::string attachment_problem;  // empty: the programs are on the interface
  std::string link_problem;        // empty: the interface has a carrier, and the gateway answers
};

// An array: every group that has a number, also a former one.
nlohmann::ordered_json groups_of(const StatusSources& sources);

// Whether packets of clients reach brokers; otherwise the reasons why not.
nlohmann::ordered_json readiness_of(const StatusSources& sources);

// One object with all members.
nlohmann::ordered_json status_of(const StatusSources& sources);

// An array: every real of every configured group, in the order of the file.
nlohmann::ordered_json reals_of(const StatusSources& sources);

}  // namespace remora
