// SPDX-License-Identifier: Apache-2.0
#include "store/event_rows.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

constexpr std::uint64_t kEvent = 7, kOther = 8;
const EventRows::Client kClient{"service", "10.1.1.7"};

TEST(EventRowsTest, AnEventIsCountedInItsRowForAnHour) {
  EventRows rows(10);
  EXPECT_FALSE(rows.find(kClient, kEvent, 0));

  rows.add(kClient, kEvent, 1, 0, EventRows::kRowLastsS);

  EXPECT_EQ(rows.find(kClient, kEvent, EventRows::kRowLastsS - 1), 1);
  EXPECT_FALSE(rows.find(kClient, kOther, 1));
  EXPECT_FALSE(rows.find({"service", "10.1.1.8"}, kEvent, 1));
  EXPECT_FALSE(rows.find(kClient, kEvent, EventRows::kRowLastsS));
}

TEST(EventRowsTest, AShareLastsAMinute) {
  EventRows rows(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rows.take_share(kClient, 0, 30));
  EXPECT_FALSE(rows.take_share(kClient, 0, 89));

  EXPECT_TRUE(rows.take_share(kClient, 100'000, 90));
  EXPECT_FALSE(rows.take_share(kClient, 0, 91)) << "one large row";
}

TEST(EventRowsTest, TheOldestRowsOfAClientAreForgotten) {
  EventRows rows(10);
  for (std::size_t n = 0; n <= EventRows::kRows; ++n) {
    rows.add(kClient, 100 + n, static_cast<std::int64_t>(n), 0, EventRows::kRowLastsS);
  }

  EXPECT_FALSE(rows.find(kClient, 100, 0));
  EXPECT_EQ(rows.find(kClient, 101, 0), 1);
}

TEST(EventRowsTest, TheClientUsedLongestAgoIsForgotten) {
  EventRows rows(10);
  rows.add(kClient, kEvent, 1, 0, EventRows::kRowLastsS);

  for (std::size_t n = 0; n < EventRows::kClients; ++n) {
    rows.add({"service", std::to_string(n)}, kEvent, 2, 0, EventRows::kRowLastsS);
  }

  EXPECT_FALSE(rows.find(kClient, kEvent, 0));
  EXPECT_EQ(rows.find({"service", "0"}, kEvent, 0), 2);
}

}  // namespace
}  // namespace remora
