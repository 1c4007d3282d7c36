// SPDX-License-Identifier: Apache-2.0
// The clocks of the history. Tests bring their own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace remora {

struct HistoryClocks {
  // The wall clock, in Unix milliseconds. It may be wrong, and may be set at any time.
  std::function<std::int64_t()> unix_ms;
  // Milliseconds since the boot; only goes on.
  std::function<std::int64_t()> uptime_ms;
  // Tells one boot from another.
  std::string boot;
};

HistoryClocks system_clocks();

// The history's own time: how long it has been in operation. Ages are counted by it, so that
// a wall clock that is set neither deletes what is young nor keeps what is old. The time
// between two boots does not count.
class AgeClock {
 public:
  // As it was kept in the file.
  struct Kept {
    std::int64_t age_ms = 0;
    std::string boot;            // in which that was so,
    std::int64_t uptime_ms = 0;  // and when
    std::int64_t unix_ms = 0;
  };

  AgeClock(const Kept& kept, const HistoryClocks& clocks);

  std::int64_t now_ms() const { return age_at(clocks_->uptime_ms()); }
  std::int64_t age_at(std::int64_t uptime_ms) const { return uptime_ms + ahead_ms_; }

  Kept keep() const;

  // By how much the wall clock was set since the last call, or since the file was written
  // last; 0 when it was not.
  std::int64_t jump_ms();

 private:
  const HistoryClocks* clocks_;
  std::int64_t ahead_ms_;      // of the uptime
  std::int64_t booted_at_ms_;  // by the wall clock as it was at the last look
};

}  // namespace remora
