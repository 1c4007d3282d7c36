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
constexpr address kClient{{0, 0, 0xffff, 7}};

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
    maps_->guards.put(kClient, {.window_began_ns = 1, .resets = 2, .connections = connections});
  }
  std::uint32_t connections() const { return maps_->guards.find(kClient)->connections; }

  std::optional<Programs> programs_;
  std::optional<Maps> maps_;
};

TEST_F(ReleaseTest, TakesOneAndNothingElse) {
  set_connections(3);

  release_connection(*maps_, kClient);

  const auto left = maps_->guards.find(kClient);
  EXPECT_EQ(left->connections, 2U);
  EXPECT_EQ(left->resets, 2U);
  EXPECT_EQ(left->window_began_ns, 1U);
}

TEST_F(ReleaseTest, NeverGoesBelowZero) {
  set_connections(0);
  release_connection(*maps_, kClient);
  EXPECT_EQ(connections(), 0U);
}

TEST_F(ReleaseTest, AClientWithoutAGuardIsNoError) {
  release_connection(*maps_, kClient);
  EXPECT_FALSE(maps_->guards.find(kClient));
}

// What one reads and writes back, the other would undo.
TEST_F(ReleaseTest, TwoAtATimeLoseNothing) {
  constexpr std::uint32_t kEach = 20'000;
  set_connections(2 * kEach + 5);
  const auto release_many = [this] {
    for (std::uint32_t i = 0; i < kEach; ++i) release_connection(*maps_, kClient);
  };

  std::thread other(release_many);
  release_many();
  other.join();

  EXPECT_EQ(connections(), 5U);
}

}  // namespace
}  // namespace remora
