// SPDX-License-Identifier: Apache-2.0
//
// One walk over the flow table for several visitors.
#include "daemon/kernel/flow_scan.h"

#include <map>
#include <set>

#include "daemon/sessions/flow_counts.h"
#include "daemon/sessions/sweeper.h"
#include "tests/daemon/flows_fixture.h"

namespace remora {
namespace {

// Records the flows that it is shown.
struct Witness : FlowVisitor {
  bool wants_pass() const override { return wants; }
  void begin_pass(std::uint64_t) override { ++begun; }
  Verdict visit(const flow_key& key, const flow& entry, std::uint64_t) override {
    seen.insert(key.client.word[3]);
    return entry.real == removes ? Verdict::kRemoved : Verdict::kStays;
  }
  void end_batch() override { ++batches; }
  void end_pass() override { ++ended; }

  bool wants = false;
  std::uint32_t removes = 0;  // flows of this real
  std::multiset<std::uint32_t> seen;
  unsigned begun = 0, ended = 0, batches = 0;
};

class FlowScanTest : public FlowsTest {
 protected:
  void SetUp() override {
    FlowsTest::SetUp();
    if (IsSkipped()) return;
    flow_scan_ = std::make_unique<FlowScan>(running_->maps.flows);
    for (Witness* visitor : {&first_, &second_}) flow_scan_->add(*visitor);
  }

  void scan_for(std::uint64_t period_ns) {
    for (const std::uint64_t end = now_ + period_ns; now_ < end; now_ += 50 * kMs)
      flow_scan_->step(now_);
  }

  Witness first_, second_;
  std::unique_ptr<FlowScan> flow_scan_;
};

TEST_F(FlowScanTest, EachVisitorSeesEachFlowOnceInAPass) {
  add_flows(0, 10'000, kReal);

  flow_scan_->run_pass(now_);

  for (const Witness* visitor : {&first_, &second_}) {
    EXPECT_EQ(visitor->seen.size(), 10'000u);
    EXPECT_EQ(std::set(visitor->seen.begin(), visitor->seen.end()).size(), 10'000u);
    EXPECT_EQ(visitor->begun, 1u);
    EXPECT_EQ(visitor->ended, 1u);
  }
}

TEST_F(FlowScanTest, AStepReadsABatchAndNoMore) {
  add_flows(0, 10'000, kReal);

  flow_scan_->step(now_);

  EXPECT_LE(first_.seen.size(), FlowScan::kBatch + 1024);
  EXPECT_GT(first_.seen.size(), 0u);
  EXPECT_EQ(first_.ended, 0u);
}

TEST_F(FlowScanTest, WhatOneVisitorRemovesTheNextDoesNotSee) {
  add_flows(0, 3, kReal);
  add_flows(3, 2, kOther);
  first_.removes = kOther;

  flow_scan_->run_pass(now_);

  EXPECT_EQ(first_.seen.size(), 5u);
  EXPECT_EQ(second_.seen.size(), 3u);
}

TEST_F(FlowScanTest, AFullTableRestsBetweenPassesUnlessAVisitorIsInAHurry) {
  add_flows(0, 10'000, kReal);
  scan_for(kSecond);
  ASSERT_EQ(first_.ended, 1u);

  scan_for(8 * kSecond);
  EXPECT_EQ(first_.begun, 1u);

  second_.wants = true;
  scan_for(kSecond);
  EXPECT_GT(first_.begun, 2u) << "one walk serves both";
}

TEST_F(FlowScanTest, FewFlowsAreCountedEverySecond) {
  FlowCounts counts;
  flow_scan_->add(counts);
  scan_for(kSecond / 2);
  EXPECT_EQ(counts.used(), 0u);

  add_flows(0, 4, kReal);
  add_flows(4, 2, kOther, FLOW_CONDEMNED);
  scan_for(kSecond + 100 * kMs);

  EXPECT_EQ(counts.used(), 6u);
  EXPECT_EQ(counts.of_real(running_->ids.of_group("rest"), kReal), 4u);
  EXPECT_EQ(counts.of_real(running_->ids.of_group("rest"), kOther), 0u) << "only established ones";
}

TEST_F(FlowScanTest, TheSweepRemovesWhatIsOverOncePerTenSeconds) {
  History history({.path = files_ / "history.db"});
  Sweeper sweeper(running_->maps, running_->ids, history,
                  IdleLimits(running_->config, running_->ids));
  FlowScan scan(running_->maps.flows);
  scan.add(sweeper);
  now_ = 100 * kSecond;
  scan.run_pass(now_);

  add_flows(0, 3, kReal, FLOW_CLOSING);  // last seen at 0
  add_flows(3, 2, kReal);
  scan.run_pass(now_ + kSecond);
  EXPECT_EQ(sweeper.expired(), 0u);

  scan.run_pass(now_ + 10 * kSecond);
  EXPECT_EQ(sweeper.expired(), 3u);
  EXPECT_FALSE(running_->maps.flows.find(key(0)));
  EXPECT_TRUE(running_->maps.flows.find(key(3))) << "silence is no end";
}

}  // namespace
}  // namespace remora
