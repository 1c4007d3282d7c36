// SPDX-License-Identifier: Apache-2.0
//
// Handling of the ring buffer's records: history, lessons and ended connections. Uses the
// kernel's maps in a namespace of its own; needs root.
#include "daemon/events/recorder.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstring>
#include <memory>
#include <string>

#include "bpf/parse.h"
#include "daemon/base/clock.h"
#include "tests/daemon/lb_fixture.h"

namespace remora {
namespace {

class RecorderTest : public LbTest {
 protected:
  void SetUp() override {
    LbTest::SetUp();
    if (IsSkipped()) return;
    network_->add_default_routes();
    const LbText lb{.groups = {{"rest", "10.1.50.203", {{"10.1.3.105"}}},
                               {"deep", "10.1.50.201", {{"10.1.3.101"}}}},
                    .routes = {{"deep/#", "deep"}}};
    running_ = run(lb.config());
    parts_.emplace(*running_, files_ / "history.db");
  }

  void TearDown() override {
    parts_.reset();
    LbTest::TearDown();
  }

  struct Parts {
    Parts(Running& running, const std::filesystem::path& file)
        : ender(running.config, *running.forwarder),
          history({.path = file}),
          predictions(running.maps, history, 1000),
          recorder(running.maps, running.ids, running.steering, predictions, ender, history) {}
    Ender ender;
    History history;
    Predictions predictions;
    Recorder recorder;
  };

  void take(event head, const std::string& data, RecordPlace place = {}) {
    head.flow = {kClient.abi(), host_to_net16(40000), running_->ids.of_service(kService, "mqtt")};
    if (head.seen_at_ns == 0) head.seen_at_ns = monotonic_ns();
    head.data_len = static_cast<__u16>(data.size());
    std::string bytes(reinterpret_cast<const char*>(&head), sizeof(head));
    bytes += data;
    const auto record = read_record(bytes.data(), bytes.size());
    ASSERT_TRUE(record);
    parts_->recorder.take(*record, place);
  }

  // The time that the kernel would give to a lesson of the client now.
  std::uint32_t lesson_time() const {
    const auto now = static_cast<std::uint32_t>(parts_->predictions.clock().at(monotonic_ns()));
    const auto known = predicted();
    return known ? next_lesson_time(now, known->time) : now;
  }

  // Reports the topic in two pieces, the second one first, as a continuing stream may do.
  void publish_unjudged(const std::string& topic) { publish_unjudged(topic, lesson_time()); }
  void publish_unjudged(const std::string& topic, std::uint32_t time) {
    event head{};
    head.action = ACTION_PIECE;
    head.time = time;
    head.seq = next_seq_;
    head.topic_len = static_cast<__u16>(topic.size());
    const std::size_t middle = topic.size() / 2;
    head.topic_offset = static_cast<__u16>(middle);
    take(head, topic.substr(middle));
    head.topic_offset = 0;
    take(head, topic.substr(0, middle));
    next_seq_ += static_cast<std::uint32_t>(topic.size()) + 10;
  }

  void teach_in_kernel(const char* group_name, std::uint32_t time) const {
    running_->maps.predictions.put(key(), {5, time, group(group_name), 0});
  }

  std::optional<prediction> predicted() const { return running_->maps.predictions.find(key()); }
  client_key key() const { return {kClient.abi(), running_->ids.of_service(kService, "mqtt"), 0}; }
  std::uint16_t group(const char* name) const { return running_->ids.of_group(name); }

  // The rows of the history's table of events as "action old new from to".
  std::vector<std::string> events() {
    parts_->history.flush();
    sqlite3* database = nullptr;
    sqlite3_open_v2((files_ / "history.db").c_str(), &database, SQLITE_OPEN_READONLY, nullptr);
    std::vector<std::string> rows;
    const auto add = [](void* out, int columns, char** values, char**) {
      std::string row;
      for (int i = 0; i < columns; ++i) row += (i > 0 ? " " : "") + std::string(values[i]);
      static_cast<std::vector<std::string>*>(out)->push_back(row);
      return 0;
    };
    sqlite3_exec(database,
                 "SELECT action, ifnull(length(old_topic), '-'), length(new_topic),"
                 " ifnull(from_group, '-'), to_group FROM events ORDER BY id",
                 add, &rows, nullptr);
    sqlite3_close(database);
    return rows;
  }

  const Address kClient = *Address::parse("10.1.1.7");
  std::optional<Parts> parts_;
  std::uint32_t next_seq_ = 0xfffffff0;
};

using Rows = std::vector<std::string>;

TEST_F(RecorderTest, AConnectionThatIsNotJudgedIsNamed) {
  event head{};
  head.action = ACTION_UNJUDGED;
  head.from_group = head.to_group = group("deep");
  take(head, "");

  EXPECT_EQ(events(), Rows{"unjudged 0 0 deep deep"});
  EXPECT_FALSE(predicted());
}

TEST_F(RecorderTest, AConnectionThatIsKeptForItsChangesIsNamed) {
  event head{};
  head.action = ACTION_CHANGING;
  head.from_group = group("rest");
  head.to_group = group("deep");
  head.topic_len = head.data_len = 4;
  take(head, "deep");

  EXPECT_EQ(events(), Rows{"changing - 4 rest deep"});
}

TEST_F(RecorderTest, AnUnjudgedTopicTeachesItsGroup) {
  const std::string topic = "deep/" + std::string(60'000, 'x');

  publish_unjudged(topic);

  ASSERT_TRUE(predicted());
  EXPECT_EQ(predicted()->group, group("deep"));
  EXPECT_EQ(predicted()->topic_hash, running_->steering.matching()->hash(topic));
  EXPECT_EQ(events(), Rows{"learned - 60005 - deep"});
  EXPECT_EQ(parts_->recorder.unjudged().topics, 1U);
}

TEST_F(RecorderTest, AShortOneIsKnownByTheKernelsHash) {
  publish_unjudged("deep/one");

  EXPECT_EQ(predicted()->topic_hash, running_->steering.matching()->hash("deep/one"));
}

TEST_F(RecorderTest, ATopicWithoutARouteBelongsToTheDefaultGroup) {
  publish_unjudged(std::string(2000, 'x'));

  EXPECT_EQ(predicted()->group, group("rest"));
}

TEST_F(RecorderTest, TheSameTopicAgainIsNoNews) {
  const std::string topic = "deep/" + std::string(2000, 'x');

  for (int i = 0; i < 5; ++i) publish_unjudged(topic);
  EXPECT_EQ(events(), Rows{"learned - 2005 - deep"});

  publish_unjudged(topic + "y");
  EXPECT_EQ(events().size(), 2U);
}

TEST_F(RecorderTest, AnotherTopicOfTheSameGroupIsNewsForTheHistory) {
  publish_unjudged("deep/" + std::string(2000, 'x'));
  publish_unjudged("deep/" + std::string(3000, 'x'));

  EXPECT_EQ(events(), (Rows{"learned - 2005 - deep", "learned 2005 3005 deep deep"}));
}

TEST_F(RecorderTest, AfterALessonOfTheKernelTheSameTopicIsNewsAgain) {
  const std::string topic = "deep/" + std::string(2000, 'x');
  publish_unjudged(topic);
  teach_in_kernel("rest", lesson_time());

  publish_unjudged(topic);

  EXPECT_EQ(predicted()->group, group("deep"));
}

TEST_F(RecorderTest, ALaterLessonOfTheKernelStays) {
  const std::uint32_t earlier = lesson_time();
  teach_in_kernel("rest", earlier + 1);

  publish_unjudged("deep/" + std::string(2000, 'x'), earlier);

  EXPECT_EQ(predicted()->topic_hash, 5U);
  EXPECT_EQ(events().size(), 1U);
}

TEST_F(RecorderTest, ALessonHasTheKernelsTimeInTheHistory) {
  const std::uint32_t ahead = lesson_time() + 100;

  event head{};
  head.action = ACTION_LEARNED;
  head.to_group = group("deep");
  head.topic_len = 8;
  head.time = ahead;
  take(head, "deep/one");

  parts_->history.flush();
  EXPECT_EQ(static_cast<std::uint32_t>(parts_->history.newest_lesson()), ahead);
  EXPECT_NEAR(static_cast<double>(parts_->history.newest_lesson()),
              static_cast<double>(unix_ms()) * 16 / 1000, 200);
}

// The probe does not report the time of the lesson, so that of the prediction counts.
TEST_F(RecorderTest, AMispredictHasTheTimeOfItsPrediction) {
  const std::uint32_t ahead = lesson_time() + 100;
  const std::uint64_t topic = running_->steering.matching()->hash("deep/one");
  running_->maps.predictions.put(key(), {topic, ahead, group("deep"), 0});

  event head{};
  head.action = ACTION_RESET;
  head.to_group = group("deep");
  head.topic_len = 8;
  take(head, "deep/one");

  parts_->history.flush();
  EXPECT_EQ(static_cast<std::uint32_t>(parts_->history.newest_lesson()), ahead);
}

TEST_F(RecorderTest, WhatIsNoTopicNameTeachesNothing) {
  for (const std::string& text : {std::string("deep/+"), std::string("deep/#"),
                                  std::string("x\xff"), std::string("a\0b", 3)}) {
    publish_unjudged(text);
  }

  EXPECT_FALSE(predicted());
  EXPECT_TRUE(events().empty());
  EXPECT_EQ(parts_->recorder.unjudged().invalid, 4U);
}

TEST_F(RecorderTest, ATopicWithARecordOfItsOwnIsRememberedOnceAndMendedOnce) {
  event topic{};
  topic.action = ACTION_RESET;
  topic.from_group = group("rest");
  topic.to_group = group("deep");
  topic.topic_len = 8;
  topic.flags = EVENT_TOPIC_APART;
  event segment = topic;
  segment.flags = EVENT_SEGMENT | EVENT_TOPIC_APART | EVENT_BEGAN_EARLIER;
  segment.real = running_->ids.of_real(*Address::parse("10.1.3.105"));
  segment.topic_len = 0;

  take(topic, "deep/one");
  EXPECT_EQ(parts_->ender.counts().resets_sent, 0U) << "it has no number to send it with";
  take(segment, "one and the payload");

  EXPECT_EQ(events(), Rows{"reset - 8 rest deep"});
  EXPECT_EQ(parts_->ender.counts().resets_sent, 1U);
  EXPECT_EQ(parts_->ender.counts().reset_ends, 1U);
  EXPECT_EQ(parts_->ender.counts().send_failures, 0U);
}

TEST_F(RecorderTest, ASegmentThatWasCutIsMendedWithoutItsTopic) {
  event segment{};
  segment.action = ACTION_RESET;
  segment.flags = EVENT_SEGMENT | EVENT_TRUNCATED;
  segment.real = running_->ids.of_real(*Address::parse("10.1.3.105"));
  segment.topic_offset = MAX_SEGMENT;
  segment.topic_len = 20;

  take(segment, "what there is");

  EXPECT_EQ(parts_->ender.counts().resets_sent, 1U);
  EXPECT_TRUE(events().empty());
}

TEST_F(RecorderTest, ARecordThatIsReadAgainEndsNothingAgain) {
  event segment{};
  segment.action = ACTION_RESET;
  segment.flags = EVENT_SEGMENT | EVENT_TRUNCATED | EVENT_BEGAN_EARLIER;  // a RST at once
  segment.real = running_->ids.of_real(*Address::parse("10.1.3.105"));
  segment.topic_offset = MAX_SEGMENT;
  segment.topic_len = 20;
  take(segment, "one", {0, 200});
  take(segment, "one", {0, 200});
  EXPECT_EQ(parts_->ender.counts().resets_sent, 1U);
  EXPECT_EQ(parts_->ender.counts().reset_ends, 1U);

  // The next daemon, on the same maps.
  parts_.reset();
  parts_.emplace(*running_, files_ / "history.db");
  take(segment, "one", {0, 200});
  EXPECT_EQ(parts_->ender.counts().resets_sent, 0U);
  EXPECT_EQ(parts_->ender.counts().reset_ends, 0U);

  take(segment, "two", {200, 400});
  EXPECT_EQ(parts_->ender.counts().resets_sent, 1U);
}

}  // namespace
}  // namespace remora
