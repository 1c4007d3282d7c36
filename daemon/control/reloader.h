// SPDX-License-Identifier: Apache-2.0
//
// Replaces the configuration in force by that of its file, as a whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/link_follower.h"
#include "daemon/config/config.h"
#include "daemon/control/reals_admin.h"
#include "daemon/health/checks.h"
#include "daemon/routing/routing.h"
#include "daemon/sessions/ender.h"
#include "daemon/sessions/sweeper.h"
#include "daemon/steering/predictions.h"
#include "daemon/steering/steering.h"
#include "store/history.h"

namespace remora {

struct ReloadResult {
  std::uint64_t at_ns = 0;                  // CLOCK_MONOTONIC
  std::optional<std::string> refusal = {};  // no value: the file is in force
  std::vector<std::string> changes = {};    // from what was in force before, in words
};

class Reloader {
 public:
  // All parts that take up the configuration.
  struct Parts {
    HealthChecks& health;
    Steering& steering;
    Ender& ender;
    History& history;
    Sweeper& sweeper;
    const Ids& ids;
    Predictions& predictions;
    LinkFollower& follower;
    RealsAdmin& reals_admin;
    Routing& routing;
  };
  // `in_force` and the parts must outlive it.
  Reloader(std::filesystem::path file, Config& in_force, const Parts& parts)
      : file_(std::move(file)), in_force_(in_force), parts_(parts) {}

  // On the loop's thread. Logs the result, too.
  const ReloadResult& reload();

  // The result of the last reload; empty if there was none since the start.
  const std::optional<ReloadResult>& last() const { return last_; }

 private:
  ReloadResult try_to_reload();
  void apply(Config next);

  const std::filesystem::path file_;
  Config& in_force_;
  const Parts parts_;
  std::optional<ReloadResult> last_;
};

}  // namespace remora
