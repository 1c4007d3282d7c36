// SPDX-License-Identifier: Apache-2.0
//
// Predictions taught from several sides at once: packets on one CPU, and the daemon's lessons; and
// the reports about them that reach the daemon.
#include <atomic>
#include <thread>
#include <vector>

#include "bpf/lesson.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class LessonsTest : public SteerTest {
 protected:
  explicit LessonsTest(const ChainLimits& limits = {}) : SteerTest(limits) {}

  client_key client_key_of(Peer client) const {
    return {abi_address(client.address), kServiceNumber, 0};
  }

  ClientLesson lesson(Peer client, std::string_view topic, std::uint16_t group, std::uint32_t time,
                      std::uint32_t kind = 0) const {
    return {client_key_of(client), kind, {hash(topic), time, group, PREDICTION_TOLD}, {}};
  }

  // `now` is later than all lessons.
  void merge(std::span<ClientLesson> lessons) const { chain_->clients().merge(lessons, 1 << 30); }

  lesson_outcome merge(ClientLesson each) const {
    merge(std::span(&each, 1));
    return each.outcome;
  }
};

TEST_F(LessonsTest, ANewClientGetsAPrediction) {
  EXPECT_EQ(merge(lesson(kClient, kTemperatureTopic, kTemperature, 1)), LESSON_NEW);

  EXPECT_EQ(send(Client(kClient, kService).syn()).group(), kTemperature);
  Client client = connect();
  publish(client, kTemperatureTopic);
  EXPECT_TRUE(events().empty()) << "what the daemon taught is no news to it";
}

TEST_F(LessonsTest, TheLaterLessonCountsWhoeverTaughtIt) {
  Client client = connect();
  publish(client, kTemperatureTopic);
  const std::uint32_t time = prediction_of(kClient)->time;

  EXPECT_EQ(merge(lesson(kClient, kHumidityTopic, kHumidity, time)), LESSON_OLDER);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);

  EXPECT_EQ(merge(lesson(kClient, kHumidityTopic, kHumidity, time + 1)), LESSON_CHANGED);
  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);

  Client later = connect({kClient.address, 41'000});
  publish(later, kTemperatureTopic);
  EXPECT_EQ(prediction_of(kClient)->topic_hash, hash(kTemperatureTopic));
  EXPECT_EQ(prediction_of(kClient)->time, time + 2) << "also within one 16th of a second";
}

TEST_F(LessonsTest, OnlyKnownClientsWhereThatIsWanted) {
  EXPECT_EQ(merge(lesson(kClient, kTemperatureTopic, kTemperature, 1, LESSON_NO_NEW)),
            LESSON_NO_CLIENT);
  EXPECT_FALSE(prediction_of(kClient));
}

TEST_F(LessonsTest, ListsOfAnySizeAreMergedWhole) {
  for (const std::size_t count : {1u, 7u, 8u, 9u, 500u}) {
    std::vector<ClientLesson> lessons;
    for (std::uint32_t i = 0; i < count; ++i) {
      lessons.push_back(lesson({kClient.address + i, 1}, kTemperatureTopic, kTemperature,
                               static_cast<std::uint32_t>(count)));
    }

    merge(lessons);

    for (std::uint32_t i = 0; i < count; ++i) {
      ASSERT_NE(lessons[i].outcome, 0) << i;
      ASSERT_EQ(prediction_of({kClient.address + i, 1})->time, count) << i;
    }
  }
}

// A look-up followed by an update would bring an old lesson back now and then.
TEST_F(LessonsTest, AnOldLessonNeverReplacesWhatPacketsTeachMeanwhile) {
  settings_.resets_per_client = 0;
  write(settings_);
  Client client = connect();
  publish(client, kHumidityTopic);
  ASSERT_EQ(prediction_of(kClient)->topic_hash, hash(kHumidityTopic));
  std::atomic<bool> over = false;
  std::thread daemon([&] {
    std::vector<ClientLesson> lessons(64, lesson(kClient, "an/old/topic", kNoGroupYet, 1));
    while (!over) merge(lessons);
  });

  for (int i = 0; i < 20'000; ++i) {
    const std::string_view topic = i % 2 == 0 ? kTemperatureTopic : kHumidityTopic;
    // The daemon's thread may be interrupted while it writes the entry: then the next one teaches.
    prediction known{};
    do {
      publish(client, topic);
      known = *prediction_of(kClient);
    } while (known.topic_hash != hash(topic) && known.topic_hash != hash("an/old/topic"));
    if (known.topic_hash != hash(topic)) {
      ADD_FAILURE() << "lesson " << i << " was replaced";
      break;
    }
  }
  over = true;
  daemon.join();
}

TEST_F(LessonsTest, OfLessonsThatAreMergedAtOnceTheLatestRemains) {
  constexpr std::uint32_t kEach = 50'000;
  const auto teach = [&](std::string_view topic, std::uint16_t group, std::uint32_t first) {
    std::vector<ClientLesson> lessons;
    for (std::uint32_t i = 0; i < kEach; ++i) {
      lessons.push_back(lesson(kClient, topic, group, first + 2 * i));
    }
    merge(lessons);
  };
  for (int round = 0; round < 5; ++round) {
    std::thread one([&] { teach(kTemperatureTopic, kTemperature, 1); });
    std::thread two([&] { teach(kHumidityTopic, kHumidity, 2); });
    one.join();
    two.join();

    const auto known = *prediction_of(kClient);
    EXPECT_EQ(known.time, 2 * kEach);
    EXPECT_EQ(known.group, kHumidity);
    EXPECT_EQ(known.topic_hash, hash(kHumidityTopic));
    chain_->clients().erase(client_key_of(kClient));
  }
}

// ---- reports that find the ring full ----------------------------------------------

class LostReportTest : public LessonsTest {
 protected:
  LostReportTest() : LessonsTest({.event_bytes = 4096}) {}

  void fill_ring() {
    Client other = connect({kClient.address + 1, 1000});
    for (int i = 0; i < 100; ++i) publish(other, "filler/" + std::to_string(i));
    ASSERT_GT(counter(COUNT_EVENT_LOST), 0u);
  }

  // The topics that the daemon hears of.
  std::vector<std::string> topics() {
    std::vector<std::string> found;
    for (const Event& event : events()) found.push_back(event.topic());
    return found;
  }
};

using Topics = std::vector<std::string>;

TEST_F(LostReportTest, IsRepeatedAtTheNextPublishUntilItSucceeded) {
  fill_ring();
  Client client = connect();
  for (int i = 0; i < 3; ++i) publish(client, "a/topic");
  EXPECT_EQ(counter(COUNT_LEARNED), 101u) << "one lesson, however often it is reported";
  topics();

  for (int i = 0; i < 3; ++i) publish(client, "a/topic");

  EXPECT_EQ(topics(), Topics{"a/topic"});
  const std::uint64_t judged = counter(COUNT_JUDGED);
  publish(client, "a/topic");
  EXPECT_EQ(counter(COUNT_JUDGED), judged) << "a told topic is a usual one again";
}

TEST_F(LostReportTest, IsRepeatedOnTheClientsNextConnection) {
  fill_ring();
  Client client = connect();
  publish(client, "a/topic");
  send(client.fin());
  topics();

  Client again = connect({kClient.address, 41'000});
  for (int i = 0; i < 3; ++i) publish(again, "a/topic");

  EXPECT_EQ(topics(), Topics{"a/topic"});
}

TEST_F(LostReportTest, OfAKeptMispredictIsRepeatedWithItsAction) {
  fill_ring();
  group(kTemperature, 1, POLICY_KEEP);
  Client client = connect();
  publish(client, kTemperatureTopic);
  topics();

  publish(client, kTemperatureTopic);

  const auto records = events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].head.action, ACTION_KEPT);
  EXPECT_EQ(records[0].head.to_group, kTemperature);
}

// The probe's record is lost, but the client comes back to the right group at once.
TEST_F(LostReportTest, OfAMispredictIsMadeGoodByTheNextConnection) {
  fill_ring();
  Client client = connect();
  EXPECT_TRUE(publish(client, kTemperatureTopic).is_marked());
  topics();

  Client again = connect({kClient.address, 41'000});
  EXPECT_EQ(publish(again, kTemperatureTopic).group(), kTemperature);

  EXPECT_EQ(topics(), Topics{std::string(kTemperatureTopic)});
}

TEST_F(LostReportTest, OfATopicThatIsLeftToTheDaemonIsRepeated) {
  std::string deep = "x", filter = "x";
  for (int i = 0; i < MAX_LEVELS + 2; ++i) deep += "/x", filter += "/+";
  route(filter, kHumidity);
  fill_ring();
  Client client = connect();
  publish(client, deep);
  EXPECT_EQ(counter(COUNT_TOPIC_LEFT), 1u);
  topics();

  for (int i = 0; i < 3; ++i) publish(client, deep);

  EXPECT_EQ(topics(), Topics{deep});
}

TEST_F(LessonsTest, AReportSaysWhenTheClientTaught) {
  Client client = connect();
  publish(client, kTemperatureTopic);

  const auto records = events();

  ASSERT_EQ(records.size(), 0u) << "a mispredict goes by way of the probe";
  Client again = connect({kClient.address, 41'000});
  publish(again, kTemperatureTopic);
  const auto later = events();
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(later[0].head.time, prediction_of(kClient)->time);
}

}  // namespace
}  // namespace remora
