// SPDX-License-Identifier: Apache-2.0
#include "store/backlog.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace remora {
namespace {

constexpr std::size_t kLimit = 3;

Observation seen(const std::string& client, const std::string& topic, std::int64_t at_ms = 1) {
  return {at_ms,   "mqtt",       client,          topic,
          "group", std::nullopt, Action::learned, static_cast<std::uint64_t>(at_ms)};
}

std::vector<std::string> topics(const Batch& batch) {
  std::vector<std::string> found;
  for (const Observation& observation : batch.observations) found.push_back(observation.topic);
  return found;
}

using Topics = std::vector<std::string>;

class BacklogTest : public testing::Test {
 protected:
  void fill() {
    for (const char* topic : {"1", "2", "3"}) backlog_.add(seen("a", topic));
  }

  Backlog backlog_{kLimit, kLimit};
};

TEST_F(BacklogTest, KeepsTheOrderWhileThereIsRoom) {
  fill();

  EXPECT_EQ(topics(backlog_.take()), (Topics{"1", "2", "3"}));
  EXPECT_EQ(backlog_.merged(), 0U);
}

TEST_F(BacklogTest, MergesPerClientWhenItIsFull) {
  fill();

  backlog_.add(seen("b", "4"));
  backlog_.add(seen("b", "5"));

  EXPECT_EQ(backlog_.depth(), 4U);
  EXPECT_EQ(backlog_.merged(), 1U);
  EXPECT_EQ(topics(backlog_.take()), (Topics{"1", "2", "3"}));
  backlog_.finish(3);
  EXPECT_EQ(topics(backlog_.take()), Topics{"5"});
  backlog_.finish(1);
  EXPECT_TRUE(backlog_.empty());
  EXPECT_EQ(backlog_.lost(), 0U);
}

TEST_F(BacklogTest, AnOlderObservationDoesNotReplaceANewerOne) {
  fill();

  backlog_.add(seen("b", "new", 20));
  backlog_.add(seen("b", "old", 10));

  backlog_.finish(backlog_.take().observations.size());
  EXPECT_EQ(topics(backlog_.take()), Topics{"new"});
  EXPECT_EQ(backlog_.merged(), 1U);
}

TEST_F(BacklogTest, TheSameAddressAtAnotherServiceIsAnotherClient) {
  fill();
  Observation other = seen("b", "5");
  other.service = "mqtt6";

  backlog_.add(seen("b", "4"));
  backlog_.add(other);

  EXPECT_EQ(backlog_.merged(), 0U);
  EXPECT_EQ(backlog_.depth(), 5U);
}

TEST_F(BacklogTest, CountsWhatFindsNoRoomAtAll) {
  fill();

  for (const char* client : {"b", "c", "d", "e"}) backlog_.add(seen(client, "4"));

  EXPECT_EQ(backlog_.lost(), 1U);
  EXPECT_EQ(backlog_.depth(), 2 * kLimit);
}

TEST_F(BacklogTest, StaysBoundedWhileTheDiskFailsAgainAndAgain) {
  fill();
  for (int round = 0; round < 100; ++round) {
    for (const char* client : {"a", "b", "c"}) backlog_.add(seen(client, "4", round));
    backlog_.give_back(backlog_.take());
  }

  EXPECT_EQ(backlog_.depth(), 2 * kLimit);
  EXPECT_EQ(backlog_.merged(), 297U);
  EXPECT_EQ(backlog_.lost(), 0U);
}

TEST_F(BacklogTest, WhatIsGivenBackComesBeforeWhatCameMeanwhile) {
  backlog_.add(seen("a", "1"));
  Batch failed = backlog_.take();
  backlog_.add(seen("a", "2"));

  backlog_.give_back(std::move(failed));

  EXPECT_EQ(topics(backlog_.take()), (Topics{"1", "2"}));
}

TEST_F(BacklogTest, WhatIsBeingWrittenStillTakesRoom) {
  fill();
  const Batch writing = backlog_.take();

  backlog_.add(seen("a", "4"));
  backlog_.add(seen("a", "5"));

  EXPECT_EQ(writing.observations.size(), kLimit);
  EXPECT_EQ(backlog_.merged(), 1U);
}

TEST_F(BacklogTest, LastSeenTimesAreBoundedToo) {
  for (int n = 0; n < 5; ++n) backlog_.add(LastSeen{"mqtt", "a", n});

  EXPECT_EQ(backlog_.last_seen_lost(), 2U);
  EXPECT_EQ(backlog_.depth(), 0U);
  EXPECT_FALSE(backlog_.empty());
  EXPECT_EQ(backlog_.take().last_seen.size(), kLimit);
}

}  // namespace
}  // namespace remora
