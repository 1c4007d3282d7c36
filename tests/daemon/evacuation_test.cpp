// SPDX-License-Identifier: Apache-2.0
//
// Which connections an evacuation moves, and when.
#include "daemon/sessions/evacuation.h"

#include "tests/daemon/flows_fixture.h"

namespace remora {
namespace {

class EvacuationTest : public FlowsTest {
 protected:
  void SetUp() override {
    FlowsTest::SetUp();
    if (!IsSkipped())
      evacuation_ = std::make_unique<Evacuation>(running_->maps, running_->steering, *ender_);
  }

  void start(std::uint32_t per_second) {
    evacuation_->start(kReal, {running_->ids.of_group("rest")}, per_second);
  }

  void run_for(std::uint64_t period_ns) { FlowsTest::run_for(period_ns, *evacuation_); }

  template <class Change>
  void change(std::uint32_t number, Change change) {
    flow entry = running_->maps.flows.find(key(number)).value();
    change(entry);
    running_->maps.flows.put(key(number), entry);
  }

  bool is_running() const {
    return evacuation_->is_evacuated(running_->ids.of_group("rest"), kReal);
  }

  std::unique_ptr<Evacuation> evacuation_;
};

TEST_F(EvacuationTest, SoManyASecondAreAskedAndNobodyElse) {
  add_flows(0, 10'000, kReal);
  add_flows(10'000, 5'000, kOther);
  start(50);

  run_for(2 * kSecond);

  EXPECT_NEAR(static_cast<double>(evacuation_->counts().asked), 100, 5);
  EXPECT_EQ(running_->maps.flows.find(key(12'000))->state, FLOW_ESTABLISHED);
  EXPECT_TRUE(is_running());
}

TEST_F(EvacuationTest, ItEndsWhenNobodyIsLeft) {
  add_flows(0, 100, kReal);
  add_flows(100, 10, kReal, FLOW_CLOSING);
  start(1000);

  run_for(kSecond);

  EXPECT_EQ(evacuation_->counts().asked, 100U);
  EXPECT_EQ(count(FLOW_CLOSING), 10U);
  EXPECT_FALSE(is_running());
}

TEST_F(EvacuationTest, TheConnectionNoLongerCountsAgainstItsClient) {
  add_flows(0, 1, kReal);
  start(1000);

  run_for(200 * kMs);

  EXPECT_EQ(running_->maps.flows.find(key(0))->state, FLOW_LEAVING);
  EXPECT_EQ(connections(key(0)), 0U);
}

TEST_F(EvacuationTest, WhoDoesNotAnswerIsEndedByForce) {
  add_flows(0, 3, kReal);
  start(1000);

  run_for(2 * kSecond);
  EXPECT_EQ(count(FLOW_LEAVING), 3U);
  run_for(2 * kSecond);

  EXPECT_EQ(count(FLOW_CONDEMNED), 3U);
  EXPECT_EQ(evacuation_->counts().forced, 3U);
  EXPECT_EQ(ender_->counts().reset_ends, 3U);
}

TEST_F(EvacuationTest, MessagesOfQos2HaveTenSecondsAndTheirConnectionIsThenHurried) {
  add_flows(0, 3, kReal);
  change(0, [](flow& entry) { entry.open_qos2 = 1; });
  change(1, [](flow& entry) { entry.open_qos2 = QOS2_UNKNOWN; });
  change(2, [](flow& entry) { entry.stream.blind = 1; });
  start(1000);

  run_for(9900 * kMs);
  EXPECT_EQ(count(FLOW_LEAVING), 3U);
  run_for(1400 * kMs);
  EXPECT_EQ(count(FLOW_HURRIED), 3U);
  EXPECT_EQ(evacuation_->counts().hurried, 3U);
  EXPECT_EQ(evacuation_->counts().forced, 0U);

  run_for(4 * kSecond);
  EXPECT_EQ(count(FLOW_CONDEMNED), 3U);
  EXPECT_EQ(evacuation_->counts().forced, 3U);
}

TEST_F(EvacuationTest, AConnectionThatEndsInTimeIsNotHurried) {
  add_flows(0, 2, kReal);
  change(0, [](flow& entry) { entry.flags |= FLOW_QOS2; });
  start(1000);
  run_for(3 * kSecond);
  EXPECT_EQ(running_->maps.flows.find(key(0))->state, FLOW_LEAVING) << "its next may be under way";
  EXPECT_EQ(running_->maps.flows.find(key(1))->state, FLOW_CONDEMNED);

  change(0, [](flow& entry) { entry.state = FLOW_CONDEMNED; });
  run_for(12 * kSecond);

  EXPECT_EQ(evacuation_->counts().hurried, 0U);
  EXPECT_EQ(evacuation_->counts().forced, 1U);
}

TEST_F(EvacuationTest, AConnectionThatTookThePlaceOfOneThatLeftIsLeftAlone) {
  add_flows(0, 1, kReal);
  start(1000);
  run_for(200 * kMs);
  ASSERT_EQ(evacuation_->counts().asked, 1U);
  flow newer = running_->maps.flows.find(key(0)).value();
  newer.isn = 77;
  newer.real = kOther;
  newer.state = FLOW_ESTABLISHED;
  running_->maps.flows.put(key(0), newer);

  run_for(5 * kSecond);

  EXPECT_EQ(running_->maps.flows.find(key(0))->state, FLOW_ESTABLISHED);
  EXPECT_EQ(evacuation_->counts().forced, 0U);
}

TEST_F(EvacuationTest, ARealThatIsEnabledAgainKeepsTheRest) {
  add_flows(0, 100, kReal);
  start(20);
  run_for(kSecond);

  evacuation_->stop(kReal);
  run_for(kSecond);

  EXPECT_NEAR(static_cast<double>(evacuation_->counts().asked), 20, 2);
  EXPECT_FALSE(is_running());
}

}  // namespace
}  // namespace remora
