// SPDX-License-Identifier: Apache-2.0
//
// The clock by which lessons are ordered, in the kernel, in the history and between LBs.
//
// It starts at the wall clock's time when the first daemon of this boot starts, and then follows
// CLOCK_MONOTONIC. So it never goes back, even if the wall clock does: neither below the time of a
// known lesson nor below the time of an earlier daemon.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bpf/lesson.h"

namespace remora {

// In 16ths of a second since 1970. The kernel stores the lower 32 bits.
using LessonTime = std::uint64_t;

class LessonClock {
 public:
  // `now_ns` is the time by CLOCK_MONOTONIC, `unix_ms` that of the wall clock at the same moment,
  // `newest` that of the latest known lesson; `before_ns` is clock_ns() of an earlier daemon of
  // this boot, or 0.
  LessonClock(std::uint64_t now_ns, std::int64_t unix_ms, LessonTime newest,
              std::uint64_t before_ns)
      : clock_ns_(std::max({ahead_of(now_ns, static_cast<std::uint64_t>(unix_ms) * 1'000'000),
                            ahead_of(now_ns, newest * LESSON_UNIT_NS), before_ns})) {}

  // The offset from CLOCK_MONOTONIC, for `settings`.
  std::uint64_t clock_ns() const { return clock_ns_; }

  LessonTime at(std::uint64_t now_ns) const { return (clock_ns_ + now_ns) / LESSON_UNIT_NS; }

  // The whole time of a lesson from the kernel, which was taught around `now_ns`.
  LessonTime whole(std::uint32_t time, std::uint64_t now_ns) const {
    const LessonTime now = at(now_ns);
    return now + static_cast<std::uint64_t>(static_cast<std::int64_t>(
                     static_cast<std::int32_t>(time - static_cast<std::uint32_t>(now))));
  }

 private:
  static std::uint64_t ahead_of(std::uint64_t now_ns, std::uint64_t time_ns) {
    return time_ns > now_ns ? time_ns - now_ns : 0;
  }

  std::uint64_t clock_ns_;
};

}  // namespace remora
