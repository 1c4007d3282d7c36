// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/reloader.h"

#include <algorithm>
#include <exception>
#include <span>
#include <utility>

#include "daemon/base/clock.h"
#include "daemon/config/changes.h"
#include "daemon/config/keys.h"
#include "daemon/steering/history_options.h"
#include "log/log.h"

namespace remora {
namespace {

constexpr std::size_t kMostLines = 20;

void report(const std::vector<std::string>& changes) {
  if (changes.empty()) return log::info("configuration reloaded: nothing has changed");
  log::info("configuration reloaded, {} change{}:", changes.size(), changes.size() == 1 ? "" : "s");
  for (const std::string& change : std::span(changes).first(std::min(changes.size(), kMostLines)))
    log::info("reload: {}", change);
  if (changes.size() > kMostLines) log::info("reload: and {} more", changes.size() - kMostLines);
}

}  // namespace

const ReloadResult& Reloader::reload() {
  last_ = try_to_reload();
  if (last_->refusal)
    log::error("reload REFUSED, the old configuration is in force: {}", *last_->refusal);
  else
    report(last_->changes);
  return *last_;
}

ReloadResult Reloader::try_to_reload() {
  ReloadResult result{.at_ns = monotonic_ns()};
  try {
    Config next = load_config(file_);
    require_reloadable(in_force_, next);
    result.changes = describe_changes(in_force_, next);
    apply(std::move(next));
  } catch (const std::exception& error) {
    result.refusal = error.what();
  }
  return result;
}

// Steps that may be refused come first.
void Reloader::apply(Config next) {
  parts_.health.prepare(next);
  try {
    parts_.steering.apply(next, parts_.follower.mtu());
  } catch (...) {
    parts_.health.prepare(in_force_);
    throw;
  }
  parts_.reals_admin.forget(parts_.steering.freed_reals());
  in_force_ = std::move(next);
  parts_.health.use(in_force_, parts_.steering.reals(), monotonic_ns());
  parts_.ender.use(in_force_);
  parts_.history.name_services(service_names(in_force_));
  parts_.sweeper.use(IdleLimits(in_force_, parts_.ids));
  parts_.predictions.start_rematch(parts_.steering.matching());
  parts_.follower.set_gateway(in_force_.lb.gateway_mac);
  parts_.routing.use(in_force_);
}

}  // namespace remora
