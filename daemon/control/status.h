// SPDX-License-Identifier: Apache-2.0
//
// What `remoractl status` and `remoractl reals` show, as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "daemon/config/config.h"
#include "daemon/events/reader.h"
#include "daemon/events/recorder.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/health/checks.h"
#include "daemon/kernel/fill_gauge.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/programs.h"
#include "daemon/sessions/ender.h"
#include "daemon/sessions/evacuation.h"
#include "daemon/sessions/flow_counts.h"
#include "daemon/sessions/severance.h"
#include "daemon/sessions/sweeper.h"
#include "daemon/steering/steering.h"
#include "store/history.h"

namespace remora {

// How full the large tables are, but for the flow table (FlowCounts).
struct Fill {
  Fill(const Maps& maps, const Limits& limits)
      : half_open(maps.half_open, limits.half_open),
        topics(maps.topics, limits.topics),
        early_segments(maps.early_segments, limits.early_segments),
        predictions(maps.predictions, limits.clients) {}

  void recount() {
    half_open.recount();
    topics.recount();
    early_segments.recount();
    predictions.recount();
  }

  void step() {
    half_open.step();
    topics.step();
    early_segments.step();
    predictions.step();
  }

  FillGauge<half_open_key, flow> half_open;
  FillGauge<topic_key, topic_text> topics;
  FillGauge<early_key, early_segment> early_segments;
  FillGauge<client_key, prediction> predictions;
};

struct StatusSources {
  const Config& config;
  const Programs& programs;
  const Maps& maps;
  const Ids& ids;
  const Steering& steering;
  const Ender& ender;
  const Recorder& recorder;
  const EventReader& events;
  const Sweeper& sweeper;
  const FlowCounts& flow_counts;
  const Evacuation& evacuation;
  const Forwarder& forwarder;
  const Severance& severance;
  const HealthChecks& health;
  const Fill& fill;
  const History& history;
  std::uint64_t started_at_ns;
  std::optional<MacAddress> gateway;
  std::string attachment_problem;  // empty: the programs are on the interface
};

// One object with everything in it.
nlohmann::ordered_json status_of(const StatusSources& sources);

// An array: every real of every configured group, in the order of the file.
nlohmann::ordered_json reals_of(const StatusSources& sources);

}  // namespace remora
