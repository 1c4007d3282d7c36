// SPDX-License-Identifier: Apache-2.0
//
// The clock by which lessons are ordered, in the kernel, in the history and between LBs.
//
// It follows the wall clock as that stood when the first daemon of this boot started, and
// CLOCK_MONOTONIC from then on. So it never goes back, even if the wall clock does: not
// below the time of a known lesson, nor below what an earlier daemon used.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bpf/lesson.h"

namespace remora {

// In 16ths of a second since 1970. The kernel has the lower 32 bits.
using LessonTime = std::uint64_t;

class LessonClock {
 public:
  // `now_ns` is CLOCK_MONOTONIC's, `unix_ms` the wall clock's at that moment; `newest`: the
  // latest known lesson's; `before_ns`: clock_ns() of an earlier daemon of this boot, or 0.
  LessonClock(std::uint64_t now_ns, std::int64_t unix_ms, LessonTime newest,
              std::uint64_t before_ns)
      : clock_ns_(std::max({ahead_of(now_ns, static_cast<std::uint64_t>(unix_ms) * 1'000'000),
                            ahead_of(now_ns, newest * LESSON_UNIT_NS), before_ns})) {}

  // For `settings`: what is added to CLOCK_MONOTONIC.
  std::uint64_t clock_ns() const { return clock_ns_; }

  LessonTime at(std::uint64_t now_ns) const { return (clock_ns_ + now_ns) / LESSON_UNIT_NS; }

  // The whole time of a lesson of the kernel's, which was taught around `now_ns`.
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
