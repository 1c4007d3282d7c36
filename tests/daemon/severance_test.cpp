// SPDX-License-Identifier: Apache-2.0
//
// Which connections end when a real is dead.
#include "daemon/sessions/severance.h"

#include "tests/daemon/flows_fixture.h"

namespace remora {
namespace {

class SeveranceTest : public FlowsTest {
 protected:
  void SetUp() override {
    FlowsTest::SetUp();
    if (!IsSkipped())
      severance_ = std::make_unique<Severance>(running_->maps, running_->steering, *ender_);
  }

  void start() { severance_->start(running_->ids.of_group("rest"), kReal); }

  void run_for(std::uint64_t period_ns) { FlowsTest::run_for(period_ns, *severance_); }

  std::uint8_t state_of(std::uint32_t number) const {
    return running_->maps.flows.find(key(number))->state;
  }

  std::uint32_t condemned() const { return count(FLOW_CONDEMNED); }

  std::unique_ptr<Severance> severance_;
};

TEST_F(SeveranceTest, EndsTheConnectionsOfThatRealInThatGroupAndNoOthers) {
  add_flows(0, 3, kReal);
  add_flows(10, 1, kReal, FLOW_LEAVING);
  add_flows(20, 1, kOther);
  add_flows(21, 1, kReal, FLOW_CLOSING);
  add_flows(22, 1, kReal, FLOW_ESTABLISHED, "other");

  start();
  run_for(kSecond);

  for (const std::uint32_t number : {0u, 1u, 2u, 10u}) {
    EXPECT_EQ(state_of(number), FLOW_CONDEMNED) << number;
  }
  EXPECT_EQ(state_of(20), FLOW_ESTABLISHED);
  EXPECT_EQ(state_of(21), FLOW_CLOSING);
  EXPECT_EQ(state_of(22), FLOW_ESTABLISHED);
  EXPECT_EQ(severance_->severed(), 4u);
  EXPECT_EQ(connections(key(0)), 0u) << "counted no more";
  EXPECT_EQ(connections(key(20)), 1u);
}

TEST_F(SeveranceTest, DoesNotDoMoreThanTheLoopBearsInOneStep) {
  add_flows(0, 2000, kReal);
  start();
  step(*severance_);
  EXPECT_EQ(condemned(), 500u);
  run_for(kSecond);
  EXPECT_EQ(condemned(), 2000u);
}

TEST_F(SeveranceTest, ForgetsWhatIsBeingOpened) {
  const half_open_key mine{key(1), 1}, other{key(2), 2};
  running_->maps.half_open.put(mine, entry_of(1, kReal, FLOW_HALF_OPEN, "rest"));
  running_->maps.half_open.put(other, entry_of(2, kOther, FLOW_HALF_OPEN, "rest"));

  start();
  run_for(kSecond);

  EXPECT_FALSE(running_->maps.half_open.find(mine));
  EXPECT_TRUE(running_->maps.half_open.find(other));
}

TEST_F(SeveranceTest, StopsWhenTheRealLivesAgain) {
  add_flows(0, 1000, kReal);
  start();
  step(*severance_);
  severance_->stop(running_->ids.of_group("rest"), kReal);
  run_for(kSecond);
  EXPECT_EQ(condemned(), 500u);
}

TEST_F(SeveranceTest, AsksTheClientUntilItsResetCannotBeMissed) {
  add_flows(0, 1, kReal);
  start();
  run_for(5 * kSecond);
  // Two ACKs each time, and one RST to the broker.
  std::uint32_t to_client = 0, to_broker = 0;
  while (const auto packet = network_->next_packet()) {
    const bool is_outer = (*packet)[9] == IPPROTO_IPIP;
    ++(is_outer ? to_broker : to_client);
  }
  EXPECT_EQ(to_client, 6u);
  EXPECT_EQ(to_broker, 1u);
}

}  // namespace
}  // namespace remora
