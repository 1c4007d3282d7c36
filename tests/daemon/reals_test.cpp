// SPDX-License-Identifier: Apache-2.0
//
// Which reals are in the ring, and how a change of weights changes it.
#include "daemon/steering/reals.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/ring/maglev.h"

namespace remora {
namespace {

Address address(std::string_view text) {
  return Address::parse(text).value();
}

const Address kA = address("10.1.3.101"), kB = address("10.1.3.102"), kC = address("fc00:3::103");

Group group_of(std::string name, std::initializer_list<Address> reals) {
  Group group;
  group.name = std::move(name);
  for (const Address& real : reals) group.reals.push_back({.address = real});
  return group;
}

class RealsTest : public testing::Test {
 protected:
  RealsTest() {
    reals_.configure(
        std::vector{group_of("temperature", {kA, kB, kC}), group_of("humidity", {kA})});
  }

  std::vector<Address> in_ring(const std::string& group = "temperature") const {
    std::vector<Address> found;
    for (const Member& member : reals_.members(group)) {
      if (member.effective_weight() > 0) found.push_back(member.address);
    }
    return found;
  }

  std::string refusal(const Address& real, const std::optional<std::string>& group) const {
    try {
      static_cast<void>(reals_.groups_of(real, group));
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }

  Reals reals_;
};

using Some = std::vector<Address>;

TEST_F(RealsTest, EveryConfiguredRealIsInTheRing) {
  EXPECT_EQ(in_ring(), (Some{kA, kB, kC}));
  EXPECT_EQ(reals_.find("temperature", kB)->state(), RealState::kEnabled);
}

TEST_F(RealsTest, ADrainedRealTakesNoConnectionsUntilItIsEnabled) {
  reals_.drain("temperature", kB);
  EXPECT_EQ(in_ring(), (Some{kA, kC}));
  EXPECT_EQ(reals_.find("temperature", kB)->state(), RealState::kDraining);

  reals_.enable("temperature", kB);
  EXPECT_EQ(in_ring(), (Some{kA, kB, kC}));
}

TEST_F(RealsTest, ARealIsDrainedInOneGroupAndNotInAnother) {
  reals_.configure(std::vector{group_of("temperature", {kA, kB}), group_of("humidity", {kA, kB})});
  reals_.drain("temperature", kA);
  EXPECT_EQ(in_ring("temperature"), Some{kB});
  EXPECT_EQ(in_ring("humidity"), (Some{kA, kB}));
}

TEST_F(RealsTest, ADeadRealThatWasDrainedComesBackDraining) {
  reals_.drain("temperature", kA);
  reals_.mark_dead("temperature", kA);
  EXPECT_EQ(reals_.find("temperature", kA)->state(), RealState::kDead);

  reals_.mark_alive("temperature", kA);
  EXPECT_EQ(reals_.find("temperature", kA)->state(), RealState::kDraining);
  EXPECT_EQ(in_ring(), (Some{kB, kC}));
}

TEST_F(RealsTest, WhenAllAreDownTheLastUsableOnesStay) {
  reals_.drain("temperature", kA);
  reals_.mark_dead("temperature", kB);
  EXPECT_EQ(in_ring(), Some{kC});

  reals_.mark_dead("temperature", kC);
  EXPECT_EQ(in_ring(), Some{kC});
  EXPECT_EQ(reals_.find("temperature", kC)->effective_weight(), 1U);

  reals_.mark_alive("temperature", kB);
  EXPECT_EQ(in_ring(), Some{kB});
}

TEST_F(RealsTest, TheOnlyRealOfAGroupGoesOnThoughDrained) {
  reals_.drain("humidity", kA);
  EXPECT_EQ(in_ring("humidity"), Some{kA});
}

TEST_F(RealsTest, WhenTheLastUsableOnesAreGoneOthersStepIn) {
  reals_.drain("temperature", kA);
  reals_.mark_dead("temperature", kB);
  reals_.mark_dead("temperature", kC);  // the last one in the ring

  reals_.configure(std::vector{group_of("temperature", {kA, kB})});
  EXPECT_EQ(in_ring(), Some{kB}) << "rather a dead one than one that an operator took out";

  reals_.configure(std::vector{group_of("temperature", {kA})});
  EXPECT_EQ(in_ring(), Some{kA});
}

TEST_F(RealsTest, AReloadKeepsWhatStaysAndForgetsWhatGoes) {
  reals_.drain("temperature", kA);
  reals_.drain("temperature", kB);
  Group heavier = group_of("temperature", {kB, kC});
  heavier.reals[0].weight = 7;

  reals_.configure(std::vector{heavier});
  EXPECT_EQ(reals_.find("temperature", kB)->state(), RealState::kDraining);
  EXPECT_EQ(reals_.find("temperature", kB)->weight, 7U);
  EXPECT_EQ(reals_.find("temperature", kA), nullptr);

  reals_.configure(std::vector{group_of("temperature", {kA, kB, kC})});
  EXPECT_EQ(reals_.find("temperature", kA)->state(), RealState::kEnabled);
}

TEST_F(RealsTest, ARealIsFoundInAllItsGroupsOrInOne) {
  EXPECT_EQ(reals_.groups_of(kA, std::nullopt),
            (std::vector<std::string>{"humidity", "temperature"}));
  EXPECT_EQ(reals_.groups_of(kA, "humidity"), std::vector<std::string>{"humidity"});
}

TEST_F(RealsTest, WhatIsUnknownIsRefusedWithWhatIsMissing) {
  EXPECT_EQ(refusal(address("10.1.3.9"), std::nullopt),
            "no group has a real 10.1.3.9; remoractl reals list shows those there are");
  EXPECT_EQ(
      refusal(kB, "humidity"),
      "group \"humidity\" has no real 10.1.3.102; remoractl reals list shows those there are");
  EXPECT_EQ(refusal(kB, "nobody"),
            "there is no group \"nobody\"; remoractl reals list shows those there are");
}

// ---- how a change changes the ring -----------------------------------------------

using Slots = std::vector<std::uint32_t>;

Slots ring_of(const Reals& reals) {
  std::vector<RingReal> members;
  for (const Member& member : reals.members("g")) {
    members.push_back({member.address, member.effective_weight(),
                       static_cast<std::uint32_t>(members.size() + 1)});
  }
  return build_ring(members, RingVariant::kMaglevV2);
}

Group ten_reals() {
  Group group;
  group.name = "g";
  for (std::uint32_t i = 0; i < 10; ++i) {
    group.reals.push_back({.address = Address::from_ipv4(__builtin_bswap32(0x0a020000 + i))});
  }
  return group;
}

// Maglev's rings are nearly, not perfectly, stable (Maglev paper §5.3). Only new connections are
// affected. Measured: a drain moves at most 181 slots of other reals, a doubled weight 153.
TEST(RealsRingTest, ADrainAndItsEndMoveFewSlotsOfOthersAndLeaveNoTrace) {
  Reals reals;
  reals.configure(std::vector{ten_reals()});
  const Slots before = ring_of(reals);
  for (std::uint32_t i = 0; i < 10; ++i) {
    const Address address = reals.members("g")[i].address;
    reals.drain("g", address);
    const Slots without = ring_of(reals);
    EXPECT_EQ(std::ranges::count(without, i + 1), 0);
    std::uint32_t moved = 0;
    for (std::size_t slot = 0; slot < before.size(); ++slot) {
      if (before[slot] != i + 1 && before[slot] != without[slot]) ++moved;
    }
    EXPECT_LT(moved, RING_SIZE / 200) << i;

    reals.enable("g", address);
    EXPECT_EQ(ring_of(reals), before);
  }
}

TEST(RealsRingTest, ADoubledWeightTakesItsShareAndMovesFewOthers) {
  Group group = ten_reals();
  Reals reals;
  reals.configure(std::vector{group});
  const Slots before = ring_of(reals);
  for (std::uint32_t i = 0; i < 10; ++i) {
    Group heavier = group;
    heavier.reals[i].weight = 2;
    reals.configure(std::vector{heavier});
    const Slots after = ring_of(reals);

    EXPECT_NEAR(static_cast<double>(std::ranges::count(after, i + 1)), RING_SIZE * 2.0 / 11, 3.0);
    std::uint32_t moved = 0;
    for (std::size_t slot = 0; slot < before.size(); ++slot) {
      if (after[slot] != i + 1 && before[slot] != after[slot]) ++moved;
    }
    EXPECT_LT(moved, RING_SIZE / 200) << i;
  }
}

}  // namespace
}  // namespace remora
