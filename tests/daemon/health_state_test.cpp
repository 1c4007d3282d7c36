// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string_view>

#include "daemon/health/state.h"

namespace remora {
namespace {

using Life = HealthState::Life;

// The state after each check, `A`live or `D`ead; checks are `+` and `-`, one per second.
std::string course(HealthState state, const Thresholds& thresholds, std::string_view checks) {
  std::string states;
  std::uint64_t now = 0;
  for (const char check : checks) {
    const bool was_dead = state.is_dead();
    const bool changed = state.take({check == '+', std::string(1, check)}, thresholds, ++now);
    EXPECT_EQ(changed, was_dead != state.is_dead());
    EXPECT_EQ(state.checked_at_ns(), now);
    EXPECT_EQ(state.last().what, std::string(1, check));
    if (changed) {
      EXPECT_EQ(state.since_ns(), now);
    }
    states += state.is_dead() ? 'D' : 'A';
  }
  return states;
}

TEST(HealthStateTest, DiesAfterFallFailuresInARow) {
  EXPECT_EQ(course({Life::kAlive, 0}, {2, 3}, "--+----"), "AAAAADD");
  EXPECT_EQ(course({Life::kAlive, 0}, {2, 1}, "-"), "D");
  EXPECT_EQ(course({Life::kAlive, 0}, {1, 100}, "+-+-+-"), "AAAAAA");
}

TEST(HealthStateTest, ComesBackAfterRiseGoodOnesInARow) {
  EXPECT_EQ(course({Life::kDead, 0}, {3, 2}, "++-+++--"), "DDDDDAAD");
  EXPECT_EQ(course({Life::kDead, 0}, {1, 2}, "-+"), "DA");
}

TEST(HealthStateTest, NothingIsKnownBeforeTheFirstCheck) {
  const HealthState state(Life::kDead, 7);
  EXPECT_TRUE(state.is_dead());
  EXPECT_EQ(state.since_ns(), 7u);
  EXPECT_EQ(state.checked_at_ns(), 0u);
}

// A reload may change the thresholds in the middle of a row of failures.
TEST(HealthStateTest, LowerThresholdsCountWhatWasSeen) {
  HealthState state(Life::kAlive, 0);
  state.take({false, ""}, {2, 5}, 1);
  state.take({false, ""}, {2, 5}, 2);
  EXPECT_TRUE(state.take({false, ""}, {2, 1}, 3));
}

}  // namespace
}  // namespace remora
