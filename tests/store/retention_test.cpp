// SPDX-License-Identifier: Apache-2.0
// Limits on the age and size of the history, and events that are counted instead of written.
#include "store/history_file.h"
#include "tests/store/history_fixture.h"

namespace remora {
namespace {

using Rows = std::vector<std::string>;

// In these tests no part of the history waits for the wall clock.
class RetentionTest : public HistoryTest {
 protected:
  void restart() {
    close();
    open(clocks_);
    history_->flush();
  }

  void record(const std::string& client, const std::string& topic) {
    history_->record(learned(client, topic, "g", clocks_.unix_ms));
  }

  Rows clients() { return rows("SELECT client FROM clients ORDER BY client"); }

  TestClocks clocks_;
};

// ---- age ------------------------------------------------------------------------

TEST_F(RetentionTest, WhatIsTooOldIsDeletedAtStart) {
  open(clocks_);
  record("10.1.1.1", "gone");
  record("10.1.1.2", "old");
  record("10.1.1.3", "idle");
  history_->flush();
  clocks_.advance(2 * kDay);
  restart();
  record("10.1.1.2", "new");
  clocks_.advance(88 * kDay);
  history_->touch({{kMqtt, "10.1.1.3", clocks_.unix_ms}});
  history_->flush();
  clocks_.advance(kDay);

  restart();

  EXPECT_EQ(clients(), (Rows{"10.1.1.2", "10.1.1.3"}));
  EXPECT_EQ(rows("SELECT new_topic FROM events"), Rows{"new"});
  EXPECT_EQ(history_->status().clients, 2U);
}

TEST_F(RetentionTest, HomesOfClientsThatStayAwayAreDeleted) {
  const auto home = [this](const char* client_id) -> Home {
    return {.service = kMqtt, .client_id = client_id, .group = "g", .at_ms = clocks_.unix_ms};
  };
  open(clocks_);
  history_->remember(home("gone"));
  history_->remember(home("back"));
  history_->flush();
  clocks_.advance(50 * kDay);
  history_->remember(home("back"));
  history_->flush();
  clocks_.advance(50 * kDay);

  restart();

  EXPECT_EQ(rows("SELECT client_id FROM homes"), Rows{"back"});
}

TEST_F(RetentionTest, OldOperationsAreDeleted) {
  open(clocks_);
  history_->record(Operation{.at_ms = clocks_.unix_ms, .what = "drain"});
  history_->flush();
  clocks_.advance(50 * kDay);
  history_->record(Operation{.at_ms = clocks_.unix_ms, .what = "enable"});
  history_->flush();
  clocks_.advance(50 * kDay);

  restart();

  EXPECT_EQ(rows("SELECT what FROM operations"), Rows{"enable"});
}

TEST_F(RetentionTest, OnlyTheLastOperationsAreKept) {
  open(clocks_);
  history_->record(Operation{.at_ms = clocks_.unix_ms, .what = "first"});
  history_->flush();
  Connection(options_.path, Access::read_write)
      .execute("UPDATE sqlite_sequence SET seq = seq + " +
               std::to_string(HistoryFile::kMostOperations) + " WHERE name = 'operations'");

  history_->record(Operation{.at_ms = clocks_.unix_ms, .what = "last"});
  history_->flush();

  EXPECT_EQ(rows("SELECT what FROM operations"), Rows{"last"});
}

TEST_F(RetentionTest, ChunksFollowEachOtherUntilAllIsGone) {
  open(clocks_);
  for (int n = 0; n < 5000; ++n) record(std::to_string(n), "gone");
  history_->flush();
  clocks_.advance(91 * kDay);

  restart();
  for (int chunk = 0; chunk < 6; ++chunk) history_->flush();

  EXPECT_EQ(history_->status().clients, 0U);
  EXPECT_EQ(value("SELECT count(*) FROM events"), "0");
}

TEST_F(RetentionTest, OneChunkIsBounded) {
  const HistoryClocks clocks = clocks_.clocks();
  HistoryFile file({.path = options_.path, .services = {}}, clocks);
  std::vector<Observation> old;
  for (int n = 0; n < 20; ++n) {
    old.push_back(learned(std::to_string(n), "t", "g", clocks_.unix_ms));
    old.back().uptime_ms = clocks_.uptime_ms;
  }
  file.write(old);
  clocks_.advance(2 * kDay);

  const Deleted first = file.expire(1, 15);
  EXPECT_EQ(first.events, 15U);
  EXPECT_EQ(first.clients, 15U);
  EXPECT_EQ(file.clients(), 5U);
  EXPECT_EQ(file.expire(1, 15).events, 5U);
  EXPECT_EQ(file.expire(1, 15).events, 0U);
}

// The clock is wrong at boot and corrected later.
TEST_F(RetentionTest, AClockThatIsAheadForAWhileDeletesNothing) {
  open(clocks_);
  record("10.1.1.1", "a");
  history_->flush();

  clocks_.unix_ms += 400 * kDay;
  restart();
  record("10.1.1.2", "a");
  history_->flush();
  clocks_.unix_ms -= 400 * kDay;
  restart();

  EXPECT_EQ(clients(), (Rows{"10.1.1.1", "10.1.1.2"}));
  EXPECT_EQ(value("SELECT count(*) FROM events"), "2");
  EXPECT_EQ(logged("the clock was set 400 days ahead"), 1);
  EXPECT_EQ(logged("the clock was set 400 days back"), 1);
}

TEST_F(RetentionTest, AJumpIsNoticedWhileRunning) {
  open(clocks_);
  clocks_.unix_ms -= 2 * kHour;

  history_->flush();
  history_->flush();

  EXPECT_EQ(logged("the clock was set 2 hours back"), 1);
}

TEST_F(RetentionTest, ATopicChangesAlsoWhileTheClockIsBehind) {
  open(clocks_);
  record("10.1.1.1", "before");
  history_->flush();
  const std::int64_t later = clocks_.unix_ms;

  clocks_.unix_ms -= kHour;
  clocks_.uptime_ms += kMinute;
  Observation after = learned("10.1.1.1", "after", "g", clocks_.unix_ms);
  after.lesson_time = static_cast<std::uint64_t>(later) + 1;  // lesson times never go back
  history_->record(after);
  history_->flush();

  EXPECT_EQ(value("SELECT topic FROM clients"), "after");
  EXPECT_EQ(value("SELECT last_seen FROM clients"), std::to_string(clocks_.unix_ms));
}

TEST_F(RetentionTest, TheTimeBetweenTwoBootsDoesNotCount) {
  options_.retention_days = 10;
  open(clocks_);
  record("10.1.1.1", "a");
  close();

  clocks_.unix_ms += 300 * kDay;
  clocks_.reboot();
  restart();
  EXPECT_EQ(clients(), Rows{"10.1.1.1"});

  clocks_.advance(11 * kDay);
  restart();
  EXPECT_TRUE(clients().empty()) << "but the time since the boot does";
}

TEST_F(RetentionTest, ClientsComeBackInTheOrderInWhichTheyWereSeenWhateverTheClockSaid) {
  open(clocks_);
  record("10.1.1.1", "a");
  clocks_.unix_ms -= 2 * kDay;
  clocks_.uptime_ms += kMinute;
  record("10.1.1.2", "a");
  history_->flush();

  EXPECT_EQ(reload().front().client, "10.1.1.2");
}

// ---- size -----------------------------------------------------------------------

TEST_F(RetentionTest, TheOldestEventsMakeRoomForNewOnes) {
  options_.max_bytes = 1 << 20;
  options_.events_per_minute = 1000;
  open(clocks_);

  for (int n = 0; n < 200; ++n) {
    for (int i = 0; i < 50; ++i) {
      record("10.1.1." + std::to_string(i), "topic/" + std::to_string(n) + std::string(200, 'x'));
    }
    clocks_.advance(kMinute);
    history_->flush();
  }

  EXPECT_LE(history_->status().bytes, options_.max_bytes);
  EXPECT_GT(history_->status().trimmed_events, 1000U);
  EXPECT_EQ(history_->status().trimmed_clients, 0U);
  EXPECT_EQ(clients().size(), 50U);
  EXPECT_EQ(value("SELECT count(*) FROM events WHERE new_topic LIKE 'topic/199x%'"), "50");
  EXPECT_EQ(value("SELECT count(*) FROM events WHERE new_topic LIKE 'topic/0x%'"), "0");
  EXPECT_EQ(logged("has reached max_mib"), 1);
  EXPECT_LE(std::filesystem::file_size(options_.path), options_.max_bytes + (1 << 19));
}

TEST_F(RetentionTest, WithoutEventsTheClientsSeenLongestAgoMakeRoom) {
  options_.max_bytes = 512 << 10;
  open(clocks_);

  for (int n = 0; n < 6000; ++n) {
    record(std::to_string(100'000 + n), "topic/" + std::string(100, 'x'));
    if (n % 500 == 499) history_->flush();
    clocks_.advance(1000);
  }
  history_->flush();
  history_->flush();

  EXPECT_LE(history_->status().bytes, options_.max_bytes);
  EXPECT_GT(history_->status().trimmed_clients, 0U);
  const auto left = clients();
  ASSERT_FALSE(left.empty());
  EXPECT_EQ(left.back(), "105999");
}

TEST_F(RetentionTest, AReaderDoesNotMakeTheLogGrowForEver) {
  options_.max_log_bytes = 1 << 20;
  open(clocks_);
  record("10.1.1.1", "a");
  history_->flush();
  Connection reader(options_.path, Access::read_only);
  reader.execute("BEGIN");
  reader.integer("SELECT count(*) FROM clients");

  bool has_waited = false;
  for (int n = 0; n < 100; ++n) {
    for (int i = 0; i < 50; ++i) record(std::to_string(100 * n + i), std::string(500, 'x'));
    has_waited |= !history_->flush();
  }
  EXPECT_TRUE(has_waited);
  EXPECT_NE(history_->status().error.find("end that program"), std::string::npos);
  EXPECT_LE(std::filesystem::file_size(options_.path.string() + "-wal"), 2U << 20);

  reader.execute("COMMIT");
  EXPECT_TRUE(history_->flush()) << history_->status().error;
  EXPECT_EQ(value("SELECT count(*) FROM clients"), "5001");
}

TEST_F(RetentionTest, TheGrowthOfTheLastDayIsKnown) {
  options_.events_per_minute = 1000;
  open(clocks_);
  for (int hour = 0; hour < 30; ++hour) {
    for (int n = 0; n < 100; ++n) {
      record("10.1.1." + std::to_string(n), std::to_string(hour) + std::string(500, 'x'));
    }
    history_->flush();
    clocks_.advance(kHour);
  }
  history_->flush();

  const auto per_day = static_cast<double>(history_->status().bytes_per_day);
  EXPECT_GT(per_day, 24 * 100 * 500);
  EXPECT_LT(per_day, 24 * 100 * 500 * 4);
}

// ---- events that are counted ----------------------------------------------------

TEST_F(RetentionTest, ChangesBackAndForthAreCountedInTwoRows) {
  open(clocks_);
  record("10.1.1.1", "a");
  for (int n = 0; n < 1000; ++n) {
    clocks_.advance(1000);
    record("10.1.1.1", n % 2 == 0 ? "b" : "a");
    if (n % 100 == 0) history_->flush();
  }
  close();

  EXPECT_EQ(rows("SELECT old_topic, new_topic, count FROM events ORDER BY id"),
            (Rows{"-|a|1", "a|b|500", "b|a|500"}));
  EXPECT_EQ(value("SELECT (until - at) / 1000 FROM events WHERE new_topic = 'b'"), "998");
  EXPECT_EQ(value("SELECT topic FROM clients"), "a");
  EXPECT_EQ(value("SELECT sum(count) FROM v_changes"), "1000");
}

TEST_F(RetentionTest, AnHourLaterTheSameChangeHasARowOfItsOwn) {
  open(clocks_);
  for (const char* topic : {"a", "b", "a", "b"}) record("10.1.1.1", topic);
  history_->flush();
  clocks_.advance(kHour + 1000);
  record("10.1.1.1", "a");
  close();

  EXPECT_EQ(rows("SELECT old_topic, new_topic, count FROM events ORDER BY id"),
            (Rows{"-|a|1", "a|b|2", "b|a|1", "b|a|1"}));
}

// A bridge sends each PUBLISH on another topic.
TEST_F(RetentionTest, AClientWithManyTopicsGetsFewRowsInAMinute) {
  open(clocks_);
  for (int n = 0; n < 50 * 60; ++n) {
    clocks_.advance(20);
    record("10.1.1.1", "topic/" + std::to_string(n % 50));
  }
  close();

  EXPECT_EQ(value("SELECT count(*) FROM events WHERE new_topic IS NOT NULL"), "10");
  EXPECT_EQ(rows("SELECT action, old_topic, new_topic, to_group FROM events"
                 " WHERE new_topic IS NULL"),
            Rows{"learned|-|-|-"});
  EXPECT_EQ(value("SELECT sum(count) FROM events"), "3000");
  EXPECT_EQ(value("SELECT topic FROM clients"), "topic/49");
}

TEST_F(RetentionTest, TheShareOfOneClientIsNotThatOfAnother) {
  open(clocks_);
  for (int n = 0; n < 100; ++n) record("10.1.1.1", std::to_string(n));
  record("10.1.1.2", "a");
  history_->flush();

  EXPECT_EQ(value("SELECT new_topic FROM events WHERE client = '10.1.1.2'"), "a");
}

TEST_F(RetentionTest, LongTopicsUseUpTheShareSooner) {
  open(clocks_);
  for (int n = 0; n < 100; ++n) record("10.1.1.1", std::to_string(n) + std::string(65'000, 'x'));
  close();

  EXPECT_LE(std::filesystem::file_size(options_.path), 500'000U);
  EXPECT_EQ(value("SELECT sum(count) FROM events"), "100");
}

TEST_F(RetentionTest, MispredictsAreCountedByWhatWasDone) {
  open(clocks_);
  for (int n = 0; n < 100; ++n) {
    const Action action = n % 2 == 0 ? Action::reset : Action::kept;
    history_->record(
        mispredicted("10.1.1.1", std::to_string(n), "g1", "g2", clocks_.unix_ms, action));
  }
  close();

  EXPECT_EQ(rows("SELECT action, sum(count) FROM v_mispredicts GROUP BY action"),
            (Rows{"kept|50", "reset|50"}));
  EXPECT_EQ(value("SELECT count(*) FROM v_new_clients"), "1");
}

}  // namespace
}  // namespace remora
