// SPDX-License-Identifier: Apache-2.0
//
// What `remoractl status` shows, as JSON: one object with everything in it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "daemon/bpf_programs.h"
#include "daemon/config.h"
#include "daemon/mender.h"
#include "daemon/recorder.h"
#include "daemon/sweeper.h"
#include "daemon/tables.h"
#include "store/history.h"

namespace remora {

struct StatusSources {
  const Config& config;
  const BpfPrograms& programs;
  const Tables& tables;
  const Numbers& numbers;
  const Mender& mender;
  const Recorder& recorder;
  const Sweeper& sweeper;
  const History& history;
  std::uint64_t started_at_ns;
  std::optional<MacAddress> gateway;
};

nlohmann::json status_of(const StatusSources& sources);

}  // namespace remora
