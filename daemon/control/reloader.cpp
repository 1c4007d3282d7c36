// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/reloader.h"

#include <exception>
#include <utility>

#include "daemon/base/clock.h"
#include "daemon/config/keys.h"
#include "daemon/steering/history_options.h"
#include "log/log.h"

namespace remora {

std::optional<std::string> Reloader::reload() {
  auto refusal = try_to_reload();
  last_ = {monotonic_ns(), refusal};
  return refusal;
}

std::optional<std::string> Reloader::try_to_reload() {
  try {
    Config next = load_config(file_);
    require_reloadable(in_force_, next);
    apply(std::move(next));
    log::info("configuration reloaded");
    return std::nullopt;
  } catch (const std::exception& error) {
    std::string problem = std::string("the configuration stays as it was: ") + error.what();
    log::error("{}", problem);
    return problem;
  }
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
