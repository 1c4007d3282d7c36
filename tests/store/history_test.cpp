// SPDX-License-Identifier: Apache-2.0
#include "store/history.h"

#include <algorithm>
#include <set>

#include "store/history_file.h"
#include "store/migration.h"
#include "tests/store/faulty_disk.h"
#include "tests/store/history_fixture.h"

namespace remora {
namespace {

using Rows = std::vector<std::string>;

constexpr std::int64_t kNoon = 1'774'440'000'000;  // 2026-03-25 12:00:00 UTC

const std::string kEvents =
    "SELECT client, old_topic, new_topic, from_group, to_group, action FROM v_events"
    " ORDER BY at_ms, client";
const std::string kClients =
    "SELECT client, topic, group_name, first_seen, last_seen FROM clients ORDER BY client";

TEST_F(HistoryTest, ANewClientIsKept) {
  open();
  const std::int64_t now = now_ms();

  history_->record(learned("10.1.1.7", "a/t", "temperature", now));
  EXPECT_TRUE(history_->flush());

  const std::string at = std::to_string(now);
  EXPECT_EQ(rows(kClients), Rows{"10.1.1.7|a/t|temperature|" + at + "|" + at});
  EXPECT_EQ(rows(kEvents), Rows{"10.1.1.7|-|a/t|-|temperature|learned"});
  EXPECT_EQ(history_->status().clients, 1U);
  EXPECT_EQ(history_->status().written, 1U);
  EXPECT_EQ(history_->status().queue_depth, 0U);
}

TEST_F(HistoryTest, AClientMayHaveAnIpv6Address) {
  open();
  const std::int64_t now = now_ms();

  history_->record(learned("2001:db8::7", "a/t", "temperature", now - 2));
  history_->record(mispredicted("2001:db8::7", "a/h", "temperature", "humidity", now - 1));
  history_->touch({{kMqtt, "2001:db8::7", now}});
  EXPECT_TRUE(history_->flush());

  EXPECT_EQ(rows(kEvents), (Rows{"2001:db8::7|-|a/t|-|temperature|learned",
                                 "2001:db8::7|a/t|a/h|temperature|humidity|reset"}));
  EXPECT_EQ(value("SELECT client, last_seen FROM clients"), "2001:db8::7|" + std::to_string(now));
}

TEST_F(HistoryTest, AChangedTopicIsAnEventWithTheOldOne) {
  open();
  const std::int64_t now = now_ms();

  history_->record(learned("10.1.1.7", "a/t", "temperature", now - 2));
  history_->record(learned("10.1.1.7", "a/u", "temperature", now - 1));
  history_->record(mispredicted("10.1.1.7", "a/h", "temperature", "humidity", now));
  history_->flush();

  EXPECT_EQ(rows(kEvents), (Rows{"10.1.1.7|-|a/t|-|temperature|learned",
                                 "10.1.1.7|a/t|a/u|temperature|temperature|learned",
                                 "10.1.1.7|a/u|a/h|temperature|humidity|reset"}));
  EXPECT_EQ(value("SELECT topic, group_name FROM clients"), "a/h|humidity");
}

TEST_F(HistoryTest, AKnownTopicReportedAgainIsNoEvent) {
  open();
  const std::int64_t now = now_ms();

  history_->record(learned("10.1.1.7", "a/t", "temperature", now - 5));
  history_->record(learned("10.1.1.7", "a/t", "temperature", now));
  history_->flush();

  EXPECT_EQ(rows(kEvents).size(), 1U);
  EXPECT_EQ(value("SELECT last_seen - first_seen, lesson_time - topic_since FROM clients"), "5|5");
}

TEST_F(HistoryTest, EveryMispredictIsAnEventAlsoOfTheSameTopic) {
  open();
  const std::int64_t now = now_ms();

  history_->record(mispredicted("10.1.1.7", "a/t", "default", "temperature", now - 2));
  history_->record(
      mispredicted("10.1.1.7", "a/t", "default", "temperature", now - 1, Action::kept));
  history_->record(mispredicted("10.1.1.7", "a/t", "default", "temperature", now, Action::dropped));
  history_->flush();

  EXPECT_EQ(rows(kEvents), (Rows{"10.1.1.7|-|a/t|default|temperature|reset",
                                 "10.1.1.7|a/t|a/t|default|temperature|kept",
                                 "10.1.1.7|a/t|a/t|default|temperature|dropped"}));
}

TEST_F(HistoryTest, AConnectionThatIsNotJudgedChangesNothingOfItsClient) {
  open();
  const std::int64_t now = now_ms();
  history_->record(learned("10.1.1.7", "a/t", "temperature", now - 2));
  history_->flush();
  const Rows before = rows(kClients);

  history_->record(
      mispredicted("10.1.1.7", "", "temperature", "temperature", now - 1, Action::unjudged));
  history_->record(mispredicted("10.1.1.8", "", "default", "default", now, Action::unjudged));
  history_->flush();

  EXPECT_EQ(rows(kClients), before);
  EXPECT_EQ(rows(kEvents), (Rows{"10.1.1.7|-|a/t|-|temperature|learned",
                                 "10.1.1.7|a/t|a/t|temperature|temperature|unjudged",
                                 "10.1.1.8|||default|default|unjudged"}));
  EXPECT_TRUE(rows("SELECT client FROM v_mispredicts").empty());
  EXPECT_EQ(rows("SELECT client FROM v_new_clients"), Rows{"10.1.1.7"});
}

TEST_F(HistoryTest, TheSameAddressAtTwoServicesIsTwoClients) {
  open();
  Observation other = learned("10.1.1.7", "a/h", "humidity", now_ms());
  other.service = "[2001:db8::1]:1883";

  history_->record(learned("10.1.1.7", "a/t", "temperature", now_ms()));
  history_->record(other);
  history_->flush();

  EXPECT_EQ(history_->status().clients, 2U);
  EXPECT_EQ(value("SELECT count(*) FROM v_new_clients"), "2");
}

TEST_F(HistoryTest, AnOvertakenObservationChangesNothingButThePast) {
  open();
  const std::int64_t now = now_ms();
  history_->record(learned("10.1.1.7", "one", "g1", now - 100));
  history_->record(learned("10.1.1.7", "three", "g3", now));

  history_->record(mispredicted("10.1.1.7", "two", "g1", "g2", now - 50));
  history_->record(learned("10.1.1.7", "zero", "g0", now - 200));
  history_->flush();

  EXPECT_EQ(value("SELECT topic, group_name FROM clients"), "three|g3");
  EXPECT_EQ(value("SELECT last_seen - first_seen FROM clients"), "200");
  EXPECT_EQ(rows("SELECT old_topic, new_topic FROM events ORDER BY at"),
            (Rows{"-|zero", "-|one", "one|two", "one|three"}));
}

TEST_F(HistoryTest, TheOrderOfLessonsIsNotThatOfTheWallClock) {
  open();
  Observation before = learned("10.1.1.7", "before", "g1", now_ms());
  before.lesson_time = 1000;
  Observation after = learned("10.1.1.7", "after", "g2", now_ms() - kHour);
  after.lesson_time = 1001;

  history_->record(before);
  history_->record(after);
  history_->flush();

  EXPECT_EQ(value("SELECT topic, lesson_time FROM clients"), "after|1001");
  EXPECT_EQ(history_->newest_lesson(), 1001U);
}

TEST_F(HistoryTest, TheNewestLessonIsKnownAfterARestart) {
  open();
  EXPECT_EQ(history_->newest_lesson(), 0U);
  const std::int64_t now = now_ms();
  history_->record(learned("10.1.1.7", "a", "g", now));
  history_->record(learned("10.1.1.8", "a", "g", now - 5));
  reopen();

  EXPECT_EQ(history_->newest_lesson(), static_cast<std::uint64_t>(now));
  ASSERT_EQ(reload().size(), 2U);
  EXPECT_EQ(reload().front().lesson_time, static_cast<std::uint64_t>(now));
}

TEST_F(HistoryTest, ALastSeenTimeIsNotNewsAboutTheTopic) {
  open();
  const std::int64_t now = now_ms();
  history_->record(learned("10.1.1.7", "one", "g1", now - 100));
  history_->touch({{kMqtt, "10.1.1.7", now}, {kMqtt, "10.1.1.9", now}});
  history_->flush();

  history_->record(learned("10.1.1.7", "two", "g2", now - 50));
  history_->touch({{kMqtt, "10.1.1.7", now - 70}});
  history_->flush();

  EXPECT_EQ(value("SELECT topic, last_seen FROM clients"), "two|" + std::to_string(now));
}

TEST_F(HistoryTest, AnyBytesComeBackAsTheyWere) {
  open();
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  const std::vector<std::string> topics = {"plain",    "\u00e4/\u20ac/\U0001f41f",
                                           all_bytes,  std::string("nul\0nul", 7),
                                           "\xff\xfe", "\x1b[31mred",
                                           "x'41'",    "",
                                           "12",       "it's; DROP TABLE clients"};
  std::int64_t at = now_ms();
  for (const std::string& topic : topics) {
    history_->record(learned(std::to_string(at), topic, "g", at));
    --at;
  }
  reopen();

  const auto clients = reload();

  ASSERT_EQ(clients.size(), topics.size());
  for (std::size_t n = 0; n < topics.size(); ++n) EXPECT_EQ(clients[n].topic, topics[n]);
}

TEST_F(HistoryTest, ViewsShowOddTopicsAsHexadecimalLiterals) {
  open();
  const std::int64_t now = now_ms();
  history_->record(learned("10.1.1.7", "\x1b[2J", "g", now - 1));
  history_->record(learned("10.1.1.7", "\xff", "g", now));
  history_->flush();

  EXPECT_EQ(value("SELECT topic FROM v_clients"), "x'FF'");
  EXPECT_EQ(value("SELECT old_topic, new_topic FROM v_changes"), "x'1B5B324A'|x'FF'");
  EXPECT_EQ(value("SELECT client FROM clients WHERE topic = x'ff'"), "10.1.1.7");
}

TEST_F(HistoryTest, ViewsShowTimesInUtc) {
  TestClocks clocks;
  clocks.advance(kDay);
  open(clocks);
  history_->record(learned("10.1.1.7", "a", "g", kNoon + 250));
  history_->record(learned("10.1.1.7", "b", "g", kNoon + kHour));
  history_->flush();

  EXPECT_EQ(value("SELECT first_seen, last_seen, topic_since FROM v_clients"),
            "2026-03-25 12:00:00|2026-03-25 13:00:00|2026-03-25 13:00:00");
  EXPECT_EQ(value("SELECT at, topic FROM v_new_clients"), "2026-03-25 12:00:00.250|a");
}

TEST_F(HistoryTest, ViewsShowWhichTopicWasPublishedWhen) {
  TestClocks clocks;
  clocks.advance(kDay);
  open(clocks);
  history_->record(learned("10.1.1.7", "a", "g", kNoon));
  history_->record(mispredicted("10.1.1.7", "a", "h", "g", kNoon + kMinute, Action::kept));
  history_->record(learned("10.1.1.7", "b", "g", kNoon + 2 * kMinute));
  history_->record(learned("10.1.1.7", "c", "g", kNoon + 4 * kMinute));
  history_->touch({{kMqtt, "10.1.1.7", kNoon + 5 * kMinute}});
  history_->flush();

  EXPECT_EQ(rows("SELECT topic, since, until FROM v_topics ORDER BY until_ms"),
            (Rows{"a|2026-03-25 12:00:00|2026-03-25 12:02:00",
                  "b|2026-03-25 12:02:00|2026-03-25 12:04:00",
                  "c|2026-03-25 12:04:00|2026-03-25 12:05:00"}));
}

TEST_F(HistoryTest, WritesWithoutBeingAsked) {
  options_.commit_every = 1ms;
  FaultyDisk disk;
  open();
  history_->flush();

  const int before = disk.writes();
  history_->record(learned("10.1.1.7", "a", "g", now_ms()));
  disk.await_writes_after(before);

  EXPECT_TRUE(history_->flush());
  EXPECT_EQ(history_->status().written, 1U);
}

TEST_F(HistoryTest, ClosingWritesWhatIsQueued) {
  open();
  history_->flush();
  for (int n = 0; n < 1000; ++n) {
    history_->record(learned("10.1.1." + std::to_string(n), "a", "g", now_ms()));
  }

  close();

  EXPECT_EQ(value("SELECT count(*) FROM clients"), "1000");
}

TEST_F(HistoryTest, ReloadsTheLastSeenFirst) {
  open();
  const std::int64_t now = now_ms();
  history_->record(learned("10.1.1.1", "a", "g1", now - 30));
  history_->record(learned("10.1.1.2", "b", "g2", now - 20));
  history_->record(learned("10.1.1.3", "c", "g3", now - 10));
  history_->touch({{kMqtt, "10.1.1.1", now}});
  reopen();

  const auto clients = reload(2);

  ASSERT_EQ(clients.size(), 3U);
  EXPECT_EQ(clients[0].client, "10.1.1.1");
  EXPECT_EQ(clients[0].service, kMqtt);
  EXPECT_EQ(clients[0].topic, "a");
  EXPECT_EQ(clients[0].group, "g1");
  EXPECT_EQ(clients[0].last_seen_ms, now);
  EXPECT_EQ(clients[1].client, "10.1.1.3");
  EXPECT_EQ(clients[2].client, "10.1.1.2");
}

TEST_F(HistoryTest, ReloadsAHundredThousandClientsInBatches) {
  constexpr int kClientCount = 100'000;
  options_.queue_limit = kClientCount;
  open();
  const std::int64_t now = now_ms();
  for (int n = 0; n < kClientCount; ++n) {
    history_->record(learned("fd00::" + std::to_string(n), "a/t", "g", now - n));
  }
  reopen();

  const auto clients = reload(1000);

  EXPECT_EQ(history_->status().clients, static_cast<std::uint64_t>(kClientCount));
  ASSERT_EQ(clients.size(), static_cast<std::size_t>(kClientCount));
  const auto newer = [](const auto& a, const auto& b) { return a.last_seen_ms > b.last_seen_ms; };
  EXPECT_TRUE(std::is_sorted(clients.begin(), clients.begin() + HistoryFile::kInOrder, newer));
  std::set<std::string> distinct;
  for (const KnownClient& client : clients) distinct.insert(client.client);
  EXPECT_EQ(distinct.size(), clients.size()) << "each once";

  // However many come in order, none of them was seen before one that is left out.
  for (const std::uint64_t first : {0u, 1u, 50'000u, 65'536u, 80'000u, 99'999u, 200'000u}) {
    const auto again = reload(1000, first);
    ASSERT_EQ(again.size(), clients.size()) << first;
    const std::uint64_t count = std::min<std::uint64_t>(first, kClientCount);
    for (std::uint64_t i = 0; i < count; ++i)
      ASSERT_GT(again[i].last_seen_ms, now - static_cast<std::int64_t>(count)) << first;
  }
}

TEST_F(HistoryTest, WhatTheReaderThrowsReachesTheCaller) {
  open();
  history_->record(learned("10.1.1.1", "a", "g", now_ms()));
  history_->flush();

  EXPECT_THROW(history_->for_each_client([](auto) { throw std::out_of_range("full"); }),
               std::out_of_range);
}

TEST_F(HistoryTest, ManyThreadsMayRecordAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kEach = 2000;
  open();
  std::vector<std::thread> recorders;
  for (int thread = 0; thread < kThreads; ++thread) {
    recorders.emplace_back([this, thread] {
      for (int n = 0; n < kEach; ++n) {
        const std::string client = std::to_string(thread) + "." + std::to_string(n % 100);
        history_->record(mispredicted(client, std::to_string(n), "g1", "g2", now_ms()));
        if (n % 100 == 0) history_->touch({{kMqtt, client, now_ms()}});
        if (n % 500 == 0) {
          EXPECT_TRUE(history_->flush());
          EXPECT_TRUE(history_->status().ok);
        }
      }
    });
  }
  for (std::thread& recorder : recorders) recorder.join();
  EXPECT_TRUE(history_->flush());

  EXPECT_EQ(value("SELECT sum(count) FROM events"), std::to_string(kThreads * kEach));
  EXPECT_EQ(history_->status().written, static_cast<std::uint64_t>(kThreads * kEach));
  EXPECT_EQ(history_->status().clients, 400U);
  EXPECT_EQ(value("SELECT count(*) FROM clients WHERE CAST(topic AS INTEGER) < 1900"), "0");
}

TEST_F(HistoryTest, AServiceIsShownWithTheNameThatItHasNow) {
  options_.services = {{.service = kMqtt, .name = "mqtt"}};
  open();
  history_->record(learned("10.1.1.7", "a", "g", now_ms()));
  history_->flush();
  EXPECT_EQ(value("SELECT service, service_name FROM v_clients"), "10.1.50.200:1883|mqtt");

  history_->name_services({{.service = kMqtt, .name = "telemetry"}});
  history_->flush();

  EXPECT_EQ(value("SELECT service, service_name FROM v_clients"), "10.1.50.200:1883|telemetry");
  EXPECT_EQ(value("SELECT service_name FROM v_events"), "telemetry");
  reopen();
  history_->flush();
  EXPECT_EQ(value("SELECT service_name FROM v_clients"), "mqtt") << "as the daemon was started";
}

TEST_F(HistoryTest, APersonWhoReadsDisturbsNobody) {
  open();
  history_->record(learned("10.1.1.1", "a", "g", now_ms()));
  history_->flush();
  Connection person(options_.path, Access::read_only);
  Statement reading(person, "SELECT client FROM clients");
  ASSERT_TRUE(reading.step());

  history_->record(learned("10.1.1.2", "a", "g", now_ms()));

  EXPECT_TRUE(history_->flush());
  EXPECT_FALSE(reading.step());  // the reader still sees the state from before
  EXPECT_EQ(value("SELECT count(*) FROM clients"), "2");
}

TEST_F(HistoryTest, HomesAreThereAgainTheLastSeenFirst) {
  const auto names = [](const std::vector<Home>& homes) {
    std::vector<std::string> names;
    for (const Home& home : homes) names.push_back(home.client_id + " " + home.group);
    return names;
  };
  const std::string odd("\xff\n", 2);
  open();
  const std::int64_t now = now_ms();
  history_->remember({.service = kMqtt, .client_id = "a", .group = "g1", .at_ms = now - kHour});
  history_->remember({.service = kMqtt, .client_id = odd, .group = "g2", .at_ms = now - kMinute});
  history_->remember({.service = "other", .client_id = "a", .group = "g3", .at_ms = now});
  history_->flush();
  history_->remember({.service = kMqtt, .client_id = "a", .group = "g4", .at_ms = now});

  reopen();

  EXPECT_EQ(names(history_->homes(kMqtt, 10)), (std::vector<std::string>{"a g4", odd + " g2"}));
  EXPECT_EQ(names(history_->homes(kMqtt, 1)), std::vector<std::string>{"a g4"});
  EXPECT_EQ(names(history_->homes("unknown", 10)), std::vector<std::string>{});
}

TEST_F(HistoryTest, AnOperationTellsWhoOrderedWhat) {
  open();

  history_->record(Operation{.at_ms = now_ms(),
                             .what = "evacuate",
                             .uid = 1000,
                             .real = "10.1.3.101",
                             .group = "g",
                             .detail = "per_second 50",
                             .error = "no other real"});
  history_->record(
      Operation{.at_ms = now_ms(), .what = "dead", .real = "10.1.3.102", .group = "g"});
  history_->flush();

  EXPECT_EQ(rows("SELECT what, uid, real, group_name, client, detail, error FROM v_operations"),
            (Rows{"evacuate|1000|10.1.3.101|g|-|per_second 50|no other real",
                  "dead|-|10.1.3.102|g|-|-|-"}));
}

TEST_F(HistoryTest, TheFileSaysWhatItIs) {
  open();

  EXPECT_EQ(value("PRAGMA user_version"), std::to_string(kSchemaVersion));
  EXPECT_EQ(value("PRAGMA journal_mode"), "wal");
  EXPECT_EQ(history_->status().path, options_.path);
}

}  // namespace
}  // namespace remora
