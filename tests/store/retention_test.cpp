// SPDX-License-Identifier: Apache-2.0
#include "store/history_file.h"
#include "tests/store/history_fixture.h"

namespace remora {
namespace {

using RetentionTest = HistoryTest;

TEST_F(RetentionTest, WhatIsTooOldIsDeletedAtStart) {
  const std::int64_t now = now_ms();
  options_.retention_days = 36500;
  open();
  history_->record(learned("10.1.1.1", "gone", "g", now - 91 * kDay));
  history_->record(learned("10.1.1.2", "old", "g", now - 91 * kDay));
  history_->record(learned("10.1.1.2", "new", "g", now - 89 * kDay));
  history_->record(learned("10.1.1.3", "idle", "g", now - 91 * kDay));
  history_->touch({{kMqtt, "10.1.1.3", now - kDay}});
  close();

  options_.retention_days = 90;
  open();
  history_->flush();

  EXPECT_EQ(rows("SELECT client FROM clients ORDER BY client"),
            (std::vector<std::string>{"10.1.1.2", "10.1.1.3"}));
  EXPECT_EQ(rows("SELECT new_topic FROM events"), std::vector<std::string>{"new"});
  EXPECT_EQ(history_->status().clients, 2U);
}

TEST_F(RetentionTest, ChunksFollowEachOtherUntilAllIsGone) {
  const std::int64_t now = now_ms();
  options_.retention_days = 36500;
  open();
  for (int n = 0; n < 5000; ++n) {
    history_->record(learned(std::to_string(n), "gone", "g", now - 91 * kDay));
  }
  close();

  options_.retention_days = 90;
  open();
  for (int chunk = 0; chunk < 6; ++chunk) history_->flush();

  EXPECT_EQ(history_->status().clients, 0U);
  EXPECT_EQ(value("SELECT count(*) FROM events"), "0");
}

TEST_F(RetentionTest, OneChunkIsBounded) {
  HistoryFile file(options_.path, 1s, {});
  std::vector<Observation> old;
  for (int n = 0; n < 25; ++n) old.push_back(learned(std::to_string(n), "t", "g", n));
  file.write(old);

  EXPECT_EQ(file.expire(20, 15), 30U);  // 15 events, 15 clients
  EXPECT_EQ(file.clients(), 10U);
  EXPECT_EQ(file.expire(20, 15), 10U);
  EXPECT_EQ(file.expire(20, 15), 0U);
  EXPECT_EQ(file.clients(), 5U);
}

}  // namespace
}  // namespace remora
