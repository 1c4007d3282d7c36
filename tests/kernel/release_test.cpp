// SPDX-License-Identifier: Apache-2.0
//
// Established connections are counted down while others are; needs root.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <thread>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/programs.h"

namespace remora {
namespace {

constexpr unsigned kLoopback = 1;
constexpr client_key kClient{{{0, 0, 0xffff, 7}}, 3, 0};

class ReleaseTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    Config config;
    config.limits.clients = config.limits.flows = 1000;
    // Never attached, so it leaves no pins.
    programs_.emplace(config, pin_folder("/sys/fs/bpf", "test-release-" + std::to_string(getpid())),
                      kLoopback);
    maps_.emplace(*programs_);
  }

  void set_connections(std::uint32_t connections) const {
    for (std::uint32_t i = 0; i < connections; ++i) maps_->predictions.count_connection(kClient, 1);
  }
  std::uint32_t connections() const { return maps_->predictions.entry(kClient)->connections; }
  void release() const { maps_->predictions.release_connection(kClient); }

  std::optional<Programs> programs_;
  std::optional<Maps> maps_;
};

TEST_F(ReleaseTest, TakesOneAndNothingElse) {
  maps_->predictions.put(kClient, {.topic_hash = 5, .time = 6, .group = 7, .flags = 1});
  set_connections(3);

  release();

  const auto left = maps_->predictions.find(kClient);
  EXPECT_EQ(connections(), 2U);
  EXPECT_EQ(left->topic_hash, 5U);
  EXPECT_EQ(left->group, 7U);
}

TEST_F(ReleaseTest, NeverGoesBelowZero) {
  set_connections(1);
  release();
  release();
  EXPECT_EQ(connections(), 0U);
}

TEST_F(ReleaseTest, AClientWithoutAnEntryIsNoError) {
  release();
  EXPECT_FALSE(maps_->predictions.entry(kClient));
}

// Packets claim entries at the same time, as in tests/table.
TEST_F(ReleaseTest, TwoAtATimeLoseNothing) {
  constexpr std::uint32_t kEach = 20'000;
  set_connections(2 * kEach + 5);
  const auto release_many = [this] {
    for (std::uint32_t i = 0; i < kEach; ++i) release();
  };

  std::thread other(release_many);
  release_many();
  other.join();

  EXPECT_EQ(connections(), 5U);
}

}  // namespace
}  // namespace remora
