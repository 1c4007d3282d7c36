// SPDX-License-Identifier: Apache-2.0
//
// Which of two lessons counts.
#include "bpf/lesson.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

constexpr std::uint64_t kTopic = 0x0102'0304'0506'0708, kOther = 0x1112'1314'1516'1718;
constexpr std::uint32_t kTime = 1000;

prediction taught(std::uint64_t topic, std::uint32_t time, std::uint16_t group,
                  std::uint8_t flags = 0) {
  return {topic, time, group, flags};
}

struct Weighed {
  lesson_outcome outcome;
  prediction next;
};

Weighed weigh(const prediction& known, const prediction& lesson, std::uint32_t kind = 0) {
  Weighed weighed{};
  weighed.outcome = weigh_lesson(&known, &lesson, kind, &weighed.next);
  return weighed;
}

void expect_prediction(const prediction& found, const prediction& wanted) {
  EXPECT_EQ(found.topic_hash, wanted.topic_hash);
  EXPECT_EQ(found.time, wanted.time);
  EXPECT_EQ(found.group, wanted.group);
  EXPECT_EQ(found.flags, wanted.flags);
}

TEST(LessonTest, TheLaterOneCounts) {
  const prediction known = taught(kTopic, kTime, 1);

  const auto later = weigh(known, taught(kOther, kTime + 1, 2));
  EXPECT_EQ(later.outcome, LESSON_CHANGED);
  expect_prediction(later.next, taught(kOther, kTime + 1, 2));

  for (const std::uint32_t time : {kTime, kTime - 1, 0u}) {
    const auto older = weigh(known, taught(kOther, time, 2));
    EXPECT_EQ(older.outcome, LESSON_OLDER) << time;
    expect_prediction(older.next, known);
  }
}

TEST(LessonTest, TimesAreComparedAcrossTheirWrap) {
  const auto later = weigh(taught(kTopic, 0xffff'fff0, 1), taught(kOther, 5, 2));
  EXPECT_EQ(later.outcome, LESSON_CHANGED);
  const auto older = weigh(taught(kTopic, 5, 1), taught(kOther, 0xffff'fff0, 2));
  EXPECT_EQ(older.outcome, LESSON_OLDER);
}

TEST(LessonTest, AKnownTopicFollowsItsGroupAndKeepsTheLaterTime) {
  const prediction known = taught(kTopic, kTime, 1);

  const auto older = weigh(known, taught(kTopic, kTime - 500, 2));
  EXPECT_EQ(older.outcome, LESSON_CHANGED);
  expect_prediction(older.next, taught(kTopic, kTime, 2));

  const auto later = weigh(known, taught(kTopic, kTime + 500, 1));
  EXPECT_EQ(later.outcome, LESSON_SAME);
  expect_prediction(later.next, taught(kTopic, kTime + 500, 1));
}

TEST(LessonTest, WhatAClientTeachesNowIsLaterThanAllThatIsKnown) {
  const auto ahead = weigh(taught(kTopic, kTime + 7, 1), taught(kOther, kTime, 2), LESSON_NOW);
  EXPECT_EQ(ahead.outcome, LESSON_CHANGED);
  expect_prediction(ahead.next, taught(kOther, kTime + 8, 2));

  const auto behind = weigh(taught(kTopic, kTime - 7, 1), taught(kOther, kTime, 2), LESSON_NOW);
  expect_prediction(behind.next, taught(kOther, kTime, 2));
}

TEST(LessonTest, AClientThatChangesAllTheTimeDoesNotRunAwayFromTheClock) {
  prediction known = taught(kTopic, kTime, 1);

  for (int i = 0; i < 100'000; ++i) {
    const auto weighed = weigh(known, taught(i % 2 == 0 ? kOther : kTopic, kTime, 1), LESSON_NOW);
    ASSERT_EQ(weighed.outcome, LESSON_CHANGED);
    ASSERT_FALSE(is_later(known.time, weighed.next.time));
    known = weighed.next;
  }

  EXPECT_EQ(known.time, kTime + LESSON_LEAD);
}

TEST(LessonTest, ATimeThatIsFarAheadNeverGoesBack) {
  const auto weighed =
      weigh(taught(kTopic, kTime + 1'000'000, 1), taught(kOther, kTime, 2), LESSON_NOW);

  expect_prediction(weighed.next, taught(kOther, kTime + 1'000'000, 2));
}

// A connection that has not answered teaches another topic of the group: the client is there.
TEST(LessonTest, WhoAnsweredIsKnownForTheGroupNotForTheTopic) {
  const prediction known = taught(kTopic, kTime, 1, PREDICTION_TOLD | PREDICTION_ANSWERED);

  EXPECT_EQ(weigh(known, taught(kOther, kTime, 1), LESSON_NOW).next.flags, PREDICTION_ANSWERED);
  EXPECT_EQ(weigh(known, taught(kOther, kTime, 2), LESSON_NOW).next.flags, 0);
}

TEST(LessonTest, AnUnknownTopicIsNoTopic) {
  const auto weighed = weigh(taught(0, kTime, 1), taught(0, kTime, 2));

  EXPECT_EQ(weighed.outcome, LESSON_OLDER);
}

TEST(LessonTest, OnlyANewLessonForgetsThatItWasTold) {
  const prediction known = taught(kTopic, kTime, 1, PREDICTION_TOLD);

  EXPECT_EQ(weigh(known, taught(kTopic, kTime, 1), LESSON_NOW).next.flags, PREDICTION_TOLD);
  EXPECT_EQ(weigh(known, taught(kOther, kTime, 1), LESSON_NOW).next.flags, 0);
  EXPECT_EQ(weigh(taught(kTopic, kTime, 1), known).next.flags, PREDICTION_TOLD);
}

}  // namespace
}  // namespace remora
