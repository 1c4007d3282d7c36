// SPDX-License-Identifier: Apache-2.0
//
// What `remoractl status` and `remoractl reals` show, as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "daemon/bpf_programs.h"
#include "daemon/config.h"
#include "daemon/evacuation.h"
#include "daemon/event_reader.h"
#include "daemon/fill_gauge.h"
#include "daemon/health_checks.h"
#include "daemon/katran_watch.h"
#include "daemon/mender.h"
#include "daemon/recorder.h"
#include "daemon/severance.h"
#include "daemon/steering.h"
#include "daemon/sweeper.h"
#include "daemon/tables.h"
#include "store/history.h"

namespace remora {

// How full the large tables are.
struct Fill {
  Fill(const Tables& tables, const Limits& limits)
      : flows(tables.flows.places(), limits.flows),
        half_open(tables.half_open, limits.half_open),
        topics(tables.topics, limits.topics),
        early_segments(tables.early_segments, limits.early_segments),
        predictions(tables.predictions, limits.clients) {}

  void recount() {
    flows.recount();
    half_open.recount();
    topics.recount();
    early_segments.recount();
    predictions.recount();
  }

  void step() {
    flows.step();
    half_open.step();
    topics.step();
    early_segments.step();
    predictions.step();
  }

  FillGauge<flow_key, __u32> flows;
  FillGauge<half_open_key, flow> half_open;
  FillGauge<topic_key, topic_text> topics;
  FillGauge<early_key, early_segment> early_segments;
  FillGauge<client_key, prediction> predictions;
};

struct StatusSources {
  const Config& config;
  const BpfPrograms& programs;
  const Tables& tables;
  const Numbers& numbers;
  const Steering& steering;
  const Mender& mender;
  const Recorder& recorder;
  const EventReader& events;
  const Sweeper& sweeper;
  const Evacuation& evacuation;
  const KatranWatch* katran;  // nullptr: there is no Katran server
  const Severance& severance;
  const HealthChecks& health;
  const Fill& fill;
  const History& history;
  std::uint64_t started_at_ns;
  std::optional<MacAddress> gateway;
};

// One object with everything in it.
nlohmann::ordered_json status_of(const StatusSources& sources);

// An array: every real of every configured group, in the order of the file.
nlohmann::ordered_json reals_of(const StatusSources& sources);

}  // namespace remora
