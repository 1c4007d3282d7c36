// SPDX-License-Identifier: Apache-2.0
//
// When the flow table is nearly full, the packet path questions every client.
#include "daemon/sessions/pressure.h"

#include "tests/daemon/flows_fixture.h"

namespace remora {
namespace {

class PressureTest : public FlowsTest {
 protected:
  static constexpr std::uint32_t kLimit = 20'000;

  void SetUp() override {
    FlowsTest::SetUp();
    if (IsSkipped()) return;
    pressure_ = std::make_unique<Pressure>(running_->maps, running_->steering, kLimit);
    flow_scan_ = std::make_unique<FlowScan>(running_->maps.flows);
    flow_scan_->add(*pressure_);
  }

  bool asks_all() {
    flow_scan_->run_pass(now_);
    pressure_->step();
    return running_->maps.settings.find(0)->asks_all != 0;
  }

  void remove_flows(std::uint32_t first, std::uint32_t count) const {
    for (std::uint32_t i = first; i < first + count; ++i) running_->maps.flows.erase(key(i));
  }

  std::unique_ptr<Pressure> pressure_;
  std::unique_ptr<FlowScan> flow_scan_;
};

TEST_F(PressureTest, AboveThreeQuartersEveryClientIsAsked) {
  add_flows(0, kLimit / 4 * 3 - 1, kReal);
  EXPECT_FALSE(asks_all());

  add_flows(kLimit / 4 * 3 - 1, 1, kReal);
  EXPECT_TRUE(asks_all());
}

TEST_F(PressureTest, ItEndsWithSomeDistance) {
  add_flows(0, kLimit / 4 * 3, kReal);
  ASSERT_TRUE(asks_all());

  remove_flows(0, kLimit / 10);
  EXPECT_TRUE(asks_all());
  remove_flows(kLimit / 10, kLimit / 10);
  EXPECT_FALSE(asks_all());
}

TEST_F(PressureTest, AReloadDoesNotEndIt) {
  add_flows(0, kLimit / 4 * 3, kReal);
  ASSERT_TRUE(asks_all());

  running_->steering.apply(running_->config, kMtu);

  EXPECT_EQ(running_->maps.settings.find(0)->asks_all, 1U);
}

}  // namespace
}  // namespace remora
