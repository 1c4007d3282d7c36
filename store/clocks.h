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
  // Milliseconds since the boot; never goes back.
  std::function<std::int64_t()> uptime_ms;
  // Distinguishes boots.
  std::string boot;
};

HistoryClocks system_clocks();

// The history's own time: how long it has been in operation. Ages are measured by it, so that
// setting the wall clock neither deletes young rows nor keeps old ones. The time between two boots
// does not count.
class AgeClock {
 public:
  // The state as it is stored in the file.
  struct Kept {
    std::int64_t age_ms = 0;
    std::string boot;            // the boot in which it was stored,
    std::int64_t uptime_ms = 0;  // and the uptime then
    std::int64_t unix_ms = 0;
  };

  AgeClock(const Kept& kept, const HistoryClocks& clocks);

  std::int64_t now_ms() const { return age_at(clocks_->uptime_ms()); }
  std::int64_t age_at(std::int64_t uptime_ms) const { return uptime_ms + ahead_ms_; }

  Kept keep() const;

  // How far the wall clock was set since the last call, or since the file was last written; 0 if it
  // was not.
  std::int64_t jump_ms();

 private:
  const HistoryClocks* clocks_;
  std::int64_t ahead_ms_;      // age minus uptime
  std::int64_t booted_at_ms_;  // by the wall clock at the last call
};

}  // namespace remora
