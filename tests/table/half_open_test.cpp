// SPDX-License-Identifier: Apache-2.0
//
// The table of half-open connections: which SYN of a port was the last, and which entry makes room.
#include "bpf/half_open.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "tests/support/seeds.h"
#include "tests/support/topics.h"

namespace remora {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

flow_key port_of(std::uint32_t client, std::uint16_t port = 40'000) {
  return {.client = {{0, 0, 0xffff0000u, client}}, .port = port, .service = 1};
}

class HalfOpenTest : public testing::Test {
 protected:
  void make(std::uint64_t connections) {
    sets_ = std::vector<half_open_set>(half_open_table_sets(connections));
  }

  half_open_set& set_of(table_key& key) {
    const auto count = static_cast<std::uint32_t>(sets_.size());
    return sets_[find_half_open_set(&keys_, count, &key)];
  }

  bool syn(const flow_key& port, std::uint32_t isn, std::uint64_t now_ns, std::uint64_t rank = 0) {
    table_key key = half_open_table_key(&port, isn);
    half_open_set& set = set_of(key);
    const table_terms terms{.age = half_open_age(now_ns),
                            .now = half_open_age(now_ns),
                            .holds = HALF_OPEN_HOLDS,
                            .rank = rank,
                            .by = 0};
    const table_entry entry{{key.word[0], key.word[1], key.word[2], now_ns, 0}};
    return table_insert(&set.table, nullptr, &key, &entry, &terms) == TABLE_DONE;
  }

  bool has(const flow_key& port, std::uint32_t isn) {
    table_key key = half_open_table_key(&port, isn);
    const half_open_set& set = set_of(key);
    return table_find(&set.table, nullptr, &key) < TABLE_WAYS;
  }

  // Initial sequence number of the port's last SYN; 0: the table has none.
  std::uint32_t last_syn(const flow_key& port) {
    table_key key = half_open_table_key(&port, 0);
    const half_open_set& set = set_of(key);
    const std::uint32_t way = last_half_open(&set, &key);
    if (way == TABLE_WAYS) return 0;
    return static_cast<std::uint32_t>(set.table.entry[way].word[2] >> 32);
  }

  topic_keys keys_ = random_topic_keys(1);
  std::vector<half_open_set> sets_;
};

TEST_F(HalfOpenTest, TheLastSynOfAPortIsFoundAmongOthersOfItsSet) {
  make(8);  // two sets, which the ports share
  syn(port_of(7), 1000, 5 * kSecond);
  syn(port_of(7), 3000, 6 * kSecond);
  syn(port_of(7), 2000, 5 * kSecond);
  syn(port_of(8), 9000, 7 * kSecond);
  syn(port_of(7, 40'001), 9001, 7 * kSecond);

  EXPECT_EQ(last_syn(port_of(7)), 3000u);
  EXPECT_EQ(last_syn(port_of(8)), 9000u);
  EXPECT_EQ(last_syn(port_of(9)), 0u);
}

TEST_F(HalfOpenTest, SynsOfStrangersGiveWayToThoseOfKnownClientsForHalfAMinute) {
  make(1);  // one set
  for (std::uint32_t i = 0; i < TABLE_WAYS; ++i)
    ASSERT_TRUE(syn(port_of(i), 1, kSecond, TABLE_RANK));

  EXPECT_FALSE(syn(port_of(100), 1, 30 * kSecond));
  EXPECT_TRUE(has(port_of(0), 1));
  EXPECT_TRUE(syn(port_of(101), 1, 30 * kSecond, TABLE_RANK)) << "another known client";
  EXPECT_TRUE(syn(port_of(100), 1, 32 * kSecond)) << "no CONNECT came";
}

// Decision 031 states this figure.
TEST_F(HalfOpenTest, OfAsManyConnectionsAsItIsMadeForAtMostOneInAHundredIsPushedOut) {
  constexpr std::uint32_t kConnections = 65'536;
  for (const std::uint32_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(again(seed));
    keys_ = random_topic_keys(seed);
    make(kConnections);
    for (std::uint32_t i = 0; i < kConnections; ++i)
      ASSERT_TRUE(syn(port_of(0x0a00'0000 + i / 4, static_cast<std::uint16_t>(i)), i, i * 1000ull));

    std::uint32_t held = 0;
    for (std::uint32_t i = 0; i < kConnections; ++i)
      held += has(port_of(0x0a00'0000 + i / 4, static_cast<std::uint16_t>(i)), i) ? 1 : 0;
    EXPECT_GT(held, kConnections * 0.99);
  }
}

}  // namespace
}  // namespace remora
