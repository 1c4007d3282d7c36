// SPDX-License-Identifier: Apache-2.0
#include "daemon/health/state.h"

#include <utility>

namespace remora {

bool HealthState::take(CheckResult result, const Thresholds& thresholds, std::uint64_t now_ns) {
  checked_at_ns_ = now_ns;
  last_ = std::move(result);
  if (last_.good != is_dead()) {
    against_ = 0;
    return false;
  }
  ++against_;
  if (against_ < (is_dead() ? thresholds.rise : thresholds.fall)) return false;
  life_ = is_dead() ? Life::kAlive : Life::kDead;
  since_ns_ = now_ns;
  against_ = 0;
  return true;
}

}  // namespace remora
