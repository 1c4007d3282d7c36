// SPDX-License-Identifier: Apache-2.0
#include "store/clocks.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <utility>

namespace remora {
namespace {

// NTP corrects the clock in smaller steps, which do not count as a jump.
constexpr std::int64_t kJumpMs = 10'000;

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace

HistoryClocks system_clocks() {
  return {
      .unix_ms =
          [] {
            const auto now = std::chrono::system_clock::now().time_since_epoch();
            return std::int64_t{std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
          },
      .uptime_ms =
          [] {
            timespec now{};
            clock_gettime(CLOCK_BOOTTIME, &now);
            return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
          },
      .boot = boot_id()};
}

// For a file of another machine or an earlier boot, the age goes on from its last value.
AgeClock::AgeClock(const Kept& kept, const HistoryClocks& clocks) : clocks_(&clocks) {
  const std::int64_t uptime_ms = clocks.uptime_ms(), unix_ms = clocks.unix_ms();
  const bool is_same_boot = kept.boot == clocks.boot && kept.uptime_ms <= uptime_ms;
  ahead_ms_ = kept.age_ms - (is_same_boot ? kept.uptime_ms : uptime_ms);
  booted_at_ms_ = is_same_boot ? kept.unix_ms - kept.uptime_ms : unix_ms - uptime_ms;
}

AgeClock::Kept AgeClock::keep() const {
  const std::int64_t uptime_ms = clocks_->uptime_ms();
  return {.age_ms = age_at(uptime_ms),
          .boot = clocks_->boot,
          .uptime_ms = uptime_ms,
          .unix_ms = clocks_->unix_ms()};
}

std::int64_t AgeClock::jump_ms() {
  const std::int64_t booted_at_ms = clocks_->unix_ms() - clocks_->uptime_ms();
  const std::int64_t jump_ms = booted_at_ms - std::exchange(booted_at_ms_, booted_at_ms);
  return std::abs(jump_ms) < kJumpMs ? 0 : jump_ms;
}

}  // namespace remora
