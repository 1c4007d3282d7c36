// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/lesson_clock.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kUp = 5000 * kSecond;     // since boot
constexpr std::int64_t kNow = 1'774'440'000'000;  // Unix milliseconds
constexpr LessonTime kNowInUnits = kNow / 1000 * 16;

TEST(LessonClockTest, FollowsTheWallClockOfTheStartAndThenTheMonotonicOne) {
  const LessonClock clock(kUp, kNow, 0, 0);

  EXPECT_EQ(clock.at(kUp), kNowInUnits);
  EXPECT_EQ(clock.at(kUp + kSecond), kNowInUnits + 16);
}

TEST(LessonClockTest, IsNotBeforeTheNewestLesson) {
  const LessonClock clock(kUp, kNow, kNowInUnits + 1000, 0);

  EXPECT_EQ(clock.at(kUp), kNowInUnits + 1000);
}

TEST(LessonClockTest, IsNotBeforeThatOfAnEarlierDaemon) {
  const LessonClock earlier(kUp, kNow, 0, 0);

  const LessonClock later(kUp + kSecond, kNow - 3'600'000, 0, earlier.clock_ns());

  EXPECT_EQ(later.at(kUp + kSecond), earlier.at(kUp + kSecond));
}

TEST(LessonClockTest, TheKernelCountsLikewise) {
  const LessonClock clock(kUp, kNow, 0, 0);

  for (const std::uint64_t at : {kUp, kUp + 12'345'678'901, kUp + 400 * 86'400 * kSecond}) {
    EXPECT_EQ(lesson_clock(clock.clock_ns(), at), static_cast<std::uint32_t>(clock.at(at)));
  }
}

TEST(LessonClockTest, AWholeTimeIsTheOneThatIsNearest) {
  const LessonClock clock(kUp, kNow, 0, 0);

  for (const std::int64_t off : {0, 1, -1, 480, -160'000, 2'000'000'000, -2'000'000'000}) {
    const LessonTime time = kNowInUnits + static_cast<std::uint64_t>(off);
    EXPECT_EQ(clock.whole(static_cast<std::uint32_t>(time), kUp), time) << off;
  }
}

}  // namespace
}  // namespace remora
