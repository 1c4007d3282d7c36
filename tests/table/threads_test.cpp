// SPDX-License-Identifier: Apache-2.0
//
// Threads that work on one table at the same time; also run with ThreadSanitizer.
#include <gtest/gtest.h>

#include <barrier>
#include <thread>
#include <vector>

#include "tests/support/seeds.h"
#include "tests/table/model.h"

namespace remora {
namespace {

constexpr std::uint64_t kOperations = 300'000;
constexpr std::uint64_t kThreads = 3;

std::vector<runner> run_all(const TableView& table, std::uint32_t clients, bool counts,
                            std::uint32_t seed) {
  std::vector<runner> streams;
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    streams.push_back({.next = 0,
                       .end = kOperations,
                       .stream = seed * kThreads + i,
                       .mixed = 0,
                       .twice = 0,
                       .refused = 0,
                       .again = 0,
                       .clients = clients,
                       .counts = counts});
  }
  std::barrier together(kThreads);
  std::vector<std::jthread> threads;
  for (runner& stream : streams) {
    threads.emplace_back([&] {
      together.arrive_and_wait();
      run_as_daemon(stream, table);
    });
  }
  threads.clear();
  for (const runner& stream : streams) {
    EXPECT_EQ(stream.mixed, 0u);
    EXPECT_EQ(stream.twice, 0u);
  }
  return streams;
}

// A few clients, so that the threads meet all the time.
TEST(TableThreadsTest, NothingIsLostWhereThereIsRoom) {
  const auto [first, rounds] = seeds(2);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    const OwnTable own(table_sets(200), random);

    const std::vector<runner> streams = run_all(own.view(), 12, true, seed);

    expect_whole(own.view());
    expect_all_done(own.view(), streams);
    if (testing::Test::HasFailure()) return;
  }
}

// More clients than the table has room for, so entries are pushed out all the time.
TEST(TableThreadsTest, NoEntryMixesTwoClients) {
  const auto [first, rounds] = seeds(2);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    const OwnTable own(2, random);

    run_all(own.view(), 40, true, seed);

    expect_whole(own.view());
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace remora
