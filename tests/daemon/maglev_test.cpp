// SPDX-License-Identifier: Apache-2.0
#include "daemon/ring/maglev.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace remora {
namespace {

using Slots = std::vector<std::uint32_t>;

struct Weighed {
  std::string_view address;
  std::uint32_t weight;
};

// The reals are numbered 1, 2, 3 in the given order.
std::vector<RingReal> reals_of(std::initializer_list<Weighed> weighed) {
  std::vector<RingReal> reals;
  for (const auto& [address, weight] : weighed)
    reals.push_back(
        {Address::parse(address).value(), weight, static_cast<std::uint32_t>(reals.size() + 1)});
  return reals;
}

// Reals 10.2.0.0 and up, all of the same weight.
std::vector<RingReal> many_reals(std::uint32_t count) {
  std::vector<RingReal> reals;
  for (std::uint32_t i = 0; i < count; ++i)
    reals.push_back({Address::from_ipv4(__builtin_bswap32(0x0a020000 + i)), 1, i + 1});
  return reals;
}

// The number of slots of each real.
Slots counts_of(const Slots& ring, std::size_t reals) {
  Slots counts(reals);
  for (const std::uint32_t index : ring) ++counts.at(index - 1);
  return counts;
}

Slots slots_at(const Slots& ring, std::initializer_list<std::size_t> slots) {
  Slots values;
  for (const std::size_t slot : slots) values.push_back(ring.at(slot));
  return values;
}

// The expected values of the next two tests were computed by the code of Katran and folly.

TEST(MaglevTest, HashesAddressesAsKatranDoes) {
  const std::pair<std::string_view, std::uint64_t> cases[] = {
      {"10.1.3.101", 0x9d000a14ef2cf364},  {"10.1.3.102", 0xdf43281d9b442c5e},
      {"10.1.3.103", 0xac2ca66bab65b9b8},  {"fc00::1", 0x64e74a25b986d744},
      {"fc00:3::101", 0x99439bdae8c5600c},
  };
  for (const auto& [address, hash] : cases)
    EXPECT_EQ(ring_hash(Address::parse(address).value()), hash) << address;
}

TEST(MaglevTest, TheRingIsKatransToTheSlot) {
  const auto equal = reals_of({{"10.1.3.101", 1}, {"10.1.3.102", 1}});
  const auto weighed = reals_of({{"10.1.3.101", 1}, {"10.1.3.102", 2}, {"10.1.3.103", 5}});
  const auto ipv6 = reals_of({{"fc00::1", 1}, {"fc00:3::101", 3}});
  const struct {
    const std::vector<RingReal>& reals;
    RingVariant variant;
    Slots first;
    Slots further;
    Slots counts;
  } cases[] = {
      {equal,
       RingVariant::kMaglev,
       {1, 2, 2, 1, 1, 2, 1, 1, 2, 2, 1, 2, 2, 1, 1, 2},
       {1, 1, 2, 1, 1},
       {32769, 32768}},
      {equal,
       RingVariant::kMaglevV2,
       {1, 2, 2, 1, 1, 2, 1, 1, 2, 2, 1, 2, 2, 1, 1, 2},
       {1, 1, 2, 1, 1},
       {32769, 32768}},
      {weighed,
       RingVariant::kMaglev,
       {1, 3, 2, 1, 1, 3, 3, 1, 2, 3, 3, 2, 2, 3, 1, 2},
       {1, 1, 3, 1, 1},
       {21844, 21845, 21848}},
      {weighed,
       RingVariant::kMaglevV2,
       {3, 3, 2, 3, 2, 3, 3, 1, 2, 3, 3, 2, 3, 3, 3, 2},
       {3, 1, 3, 3, 3},
       {8192, 16384, 40961}},
      {ipv6,
       RingVariant::kMaglev,
       {1, 1, 2, 1, 2, 2, 1, 2, 1, 1, 1, 2, 1, 2, 2, 2},
       {2, 1, 1, 1, 2},
       {32768, 32769}},
      {ipv6,
       RingVariant::kMaglevV2,
       {1, 1, 2, 2, 2, 2, 1, 2, 1, 2, 1, 2, 2, 2, 2, 2},
       {2, 2, 2, 1, 2},
       {16384, 49153}},
  };
  for (const auto& [reals, variant, first, further, counts] : cases) {
    const Slots ring = build_ring(reals, variant);

    ASSERT_EQ(ring.size(), static_cast<std::size_t>(RING_SIZE));
    EXPECT_EQ(Slots(ring.begin(), ring.begin() + 16), first);
    EXPECT_EQ(slots_at(ring, {1000, 10000, 32768, 50000, 65536}), further);
    EXPECT_EQ(counts_of(ring, reals.size()), counts);
  }
}

TEST(MaglevTest, TheOrderOfTheRealsDoesNotMatter) {
  auto reals = many_reals(9);
  reals[3].weight = 4;
  const Slots ring = build_ring(reals, RingVariant::kMaglevV2);

  std::reverse(reals.begin(), reals.end());

  EXPECT_EQ(build_ring(reals, RingVariant::kMaglevV2), ring);
}

TEST(MaglevTest, WithoutRealsEverySlotIsNone) {
  const auto drained = reals_of({{"10.1.3.101", 0}, {"10.1.3.102", 0}});
  for (const RingVariant variant : {RingVariant::kMaglev, RingVariant::kMaglevV2}) {
    EXPECT_EQ(build_ring({}, variant), Slots(RING_SIZE, 0));
    EXPECT_EQ(build_ring(drained, variant), Slots(RING_SIZE, 0));
  }
}

TEST(MaglevTest, ADrainedRealGetsNoSlot) {
  const auto drained = reals_of({{"10.1.3.101", 1}, {"10.1.3.102", 0}, {"10.1.3.103", 2}});
  std::vector<RingReal> without = drained;
  without.erase(without.begin() + 1);
  for (const RingVariant variant : {RingVariant::kMaglev, RingVariant::kMaglevV2})
    EXPECT_EQ(build_ring(drained, variant), build_ring(without, variant));
}

TEST(MaglevTest, ASingleRealOwnsEverySlot) {
  const auto reals = reals_of({{"10.1.3.101", 7}});
  for (const RingVariant variant : {RingVariant::kMaglev, RingVariant::kMaglevV2})
    EXPECT_EQ(build_ring(reals, variant), Slots(RING_SIZE, 1));
}

TEST(MaglevTest, EqualRealsDifferByOneSlotAtMost) {
  for (const std::uint32_t count : {2u, 3u, 10u, 100u, 1000u}) {
    const Slots counts = counts_of(build_ring(many_reals(count), RingVariant::kMaglevV2), count);
    const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
    EXPECT_LE(*most - *least, 1u) << count << " reals";
  }
}

TEST(MaglevTest, SlotsFollowTheWeights) {
  std::vector<RingReal> reals = many_reals(20);
  std::uint32_t sum = 0;
  for (RingReal& real : reals) sum += real.weight = 1 + real.index * real.index;

  const Slots counts = counts_of(build_ring(reals, RingVariant::kMaglevV2), reals.size());

  for (const RingReal& real : reals) {
    const double share = static_cast<double>(RING_SIZE) * real.weight / sum;
    EXPECT_NEAR(counts[real.index - 1], share, 2.0) << real.index;
  }
}

// One of ten reals is removed: its tenth of the slots must move, and only a few of the others
// (Maglev paper §5.3: about 2 % of the slots for a ring of this size).
TEST(MaglevTest, RemovingARealMovesFewOtherSlots) {
  const std::vector<RingReal> all = many_reals(10);
  const Slots before = build_ring(all, RingVariant::kMaglevV2);
  for (std::size_t removed = 0; removed < all.size(); ++removed) {
    std::vector<RingReal> left = all;
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(removed));

    const Slots after = build_ring(left, RingVariant::kMaglevV2);

    std::uint32_t moved = 0;
    for (std::size_t slot = 0; slot < before.size(); ++slot) {
      EXPECT_NE(after[slot], all[removed].index);
      if (before[slot] != all[removed].index && before[slot] != after[slot]) ++moved;
    }
    EXPECT_LT(moved, RING_SIZE / 50) << "without real " << all[removed].index;
  }
}

TEST(MaglevTest, RoomMeansThatEveryRealGetsASlot) {
  const auto gets_slots = [](const std::vector<std::uint32_t>& weights) {
    std::vector<RingReal> reals = many_reals(static_cast<std::uint32_t>(weights.size()));
    for (std::size_t i = 0; i < weights.size(); ++i) reals[i].weight = weights[i];
    const Slots counts = counts_of(build_ring(reals, RingVariant::kMaglevV2), reals.size());
    return std::find(counts.begin(), counts.end(), 0u) == counts.end();
  };
  EXPECT_TRUE(ring_has_room({}));
  // One light real among more and more heavy ones.
  for (std::size_t heavy = 60; heavy < 70; ++heavy) {
    std::vector<std::uint32_t> weights(heavy, 1000);
    weights.push_back(1);
    EXPECT_EQ(ring_has_room(weights), gets_slots(weights)) << heavy;
    weights.back() = 3;
    EXPECT_TRUE(ring_has_room(weights)) << heavy;
    EXPECT_TRUE(gets_slots(weights)) << heavy;
  }
}

}  // namespace
}  // namespace remora
