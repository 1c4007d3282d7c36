// SPDX-License-Identifier: Apache-2.0
//
// Transfer of flows from an old table into the present one.
#include "daemon/kernel/flow_transfer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/kernel/abi/from_4.h"
#include "tests/kernel/kernel_maps.h"
#include "tests/support/abi_4_pins.h"

namespace remora {
namespace {

constexpr std::uint32_t kOldLimit = 10'000;
constexpr __u32 kOnly = 0;

class FlowTransferTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    flows_ = make_map(BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(abi4::flow_place), kOldLimit + 1,
                      BPF_F_MMAPABLE);
    taken_ = make_map(BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(__u32), 1);
  }

  FlowTransfer transfer() const {
    const auto chain = AbiChain::from(abi4::kAbi, [](std::string_view) { return Fd(); });
    return {Fd(dup(flows_.get())), Fd(dup(taken_.get())), chain->converter_of("flows")};
  }

  void set_taken(__u32 taken) const {
    ASSERT_EQ(bpf_map_update_elem(taken_.get(), &kOnly, &taken, BPF_ANY), 0);
  }

  void set_old(__u32 place, std::uint32_t number, const flow& entry) const {
    abi4::flow_place old{};
    const flow_key key = numbered_key(number);
    std::memcpy(&old.key, &key, sizeof(key));
    old.flow = flow_of_abi_4(entry);
    ASSERT_EQ(bpf_map_update_elem(flows_.get(), &place, &old, BPF_ANY), 0);
  }

  Fd flows_, taken_;
};

TEST_F(FlowTransferTest, TakesEveryFlowAndNoFreePlace) {
  set_taken(kOldLimit);
  for (__u32 place = 1; place <= kOldLimit; place += 2) set_old(place, place, numbered_flow(place));
  const FlowTableMaps maps(kOldLimit);
  const FlowTable to(maps.fds());

  const CopyCounts counts = transfer().move_to(to);

  EXPECT_EQ(counts.copied, kOldLimit / 2);
  EXPECT_EQ(counts.lost, 0U);
  for (__u32 i = 1; i <= kOldLimit; ++i) {
    const auto found = to.find(numbered_key(i));
    ASSERT_EQ(found.has_value(), i % 2 == 1) << i;
    ASSERT_EQ(found.value_or(numbered_flow(i)).isn, i);
  }
}

TEST_F(FlowTransferTest, CountsWhatFindsNoRoom) {
  set_taken(20);
  for (__u32 place = 1; place <= 20; ++place) set_old(place, place, numbered_flow(place));
  const FlowTableMaps maps(15);
  const FlowTable to(maps.fds());

  const CopyCounts counts = transfer().move_to(to);

  EXPECT_EQ(counts.copied, 15U);
  EXPECT_EQ(counts.lost, 5U);
}

// The packet path takes places until the old table is full, but goes on counting.
TEST_F(FlowTransferTest, ReadsNoFartherThanTheTable) {
  set_taken(kOldLimit + 5);
  set_old(kOldLimit, 1, numbered_flow(1));
  const FlowTableMaps maps(10);
  const FlowTable to(maps.fds());

  EXPECT_EQ(transfer().move_to(to).copied, 1U);
}

TEST_F(FlowTransferTest, CatchesUpWithWhatTheOldProgramsDidMeanwhile) {
  set_taken(4);
  flow entry = numbered_flow(0);
  entry.seen_at_ns = monotonic_ns();
  for (std::uint32_t i = 0; i < 4; ++i) {
    entry.isn = i;
    set_old(1 + i, i, entry);
  }
  const FlowTableMaps maps(10);
  const FlowTable to(maps.fds());
  FlowTransfer transfer = this->transfer();
  ASSERT_EQ(transfer.move_to(to).copied, 4U);

  flow later = entry;
  later.seen_at_ns = monotonic_ns();
  later.edge = 500;
  later.isn = 1;
  set_old(2, 1, later);  // changed in the old table only
  later.isn = 2;
  set_old(3, 2, later);  // changed in the old table, then in the new one
  flow latest = later;
  latest.seen_at_ns += 1;
  latest.edge = 900;
  ASSERT_TRUE(to.put(numbered_key(2), latest));
  later.isn = 7;
  set_old(5, 7, later);  // opened in the old table
  set_taken(5);

  EXPECT_EQ(transfer.catch_up(to).copied, 2U);

  EXPECT_EQ(to.find(numbered_key(0))->edge, 0U);
  EXPECT_EQ(to.find(numbered_key(1))->edge, 500U);
  EXPECT_EQ(to.find(numbered_key(2))->edge, 900U);
  EXPECT_EQ(to.find(numbered_key(3))->edge, 0U);
  EXPECT_EQ(to.find(numbered_key(7))->edge, 500U);
}

}  // namespace
}  // namespace remora
