// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/callback.h"

#include <map>
#include <mutex>
#include <string>

#include "daemon/base/clock.h"
#include "log/log.h"

namespace remora {
namespace {

constexpr std::uint64_t kQuietNs = 10'000'000'000;

struct Failures {
  std::uint64_t logged_at_ns = 0;
  std::uint64_t unlogged = 0;
};

}  // namespace

void log_failure(std::string_view what, std::string_view error) noexcept {
  static std::mutex mutex;
  static std::map<std::string, Failures, std::less<>> by_kind;
  try {
    const std::lock_guard lock(mutex);
    Failures& failures = by_kind[std::string(what)];
    const std::uint64_t now = monotonic_ns();
    if (failures.logged_at_ns != 0 && now - failures.logged_at_ns < kQuietNs) {
      ++failures.unlogged;
      return;
    }
    if (failures.unlogged == 0)
      log::error("{}: {}", what, error);
    else
      log::error("{}: {} (and {} failures before, since the last line)", what, error,
                 failures.unlogged);
    failures = {now, 0};
  } catch (...) {
    // The failure cannot be reported to anybody.
  }
}

}  // namespace remora
