// SPDX-License-Identifier: Apache-2.0
//
// The flow table from the daemon's side, and the state in which a killed remorad leaves it.
#include "daemon/kernel/flow_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <set>
#include <vector>

#include "tests/kernel/kernel_maps.h"

namespace remora {
namespace {

constexpr std::uint32_t kLimit = 8;

class KernelFlowTableTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    maps_.emplace(kLimit);
    table_.emplace(maps_->fds());
  }

  // A start after a kill: the next remorad opens the table, and scans it for a while.
  std::uint64_t restart_and_scan(int passes = 2) {
    table_.emplace(maps_->fds());
    PlaceReclaimer reclaimer(*table_);
    for (int i = 0; i < passes; ++i) reclaimer.step();
    return reclaimer.reclaimed();
  }

  void fill(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      ASSERT_TRUE(table_->put(numbered_key(i), numbered_flow(i)));
    }
  }

  // Adds flows until the table is full; each must have a place of its own. Returns their number.
  std::uint32_t room() {
    std::uint32_t added = 0;
    while (table_->put(numbered_key(1000 + added), numbered_flow(1000 + added))) ++added;
    std::set<std::uint32_t> numbers;
    for (std::uint32_t i = 0; i < added; ++i) {
      EXPECT_EQ(table_->find(numbered_key(1000 + i))->isn, 1000 + i) << "another one's flow";
      EXPECT_TRUE(numbers.insert(*table_->places().find(numbered_key(1000 + i))).second);
    }
    return added;
  }

  flow_place place(std::uint32_t number) const {
    flow_place found{};
    EXPECT_EQ(bpf_map_lookup_elem(maps_->flows.get(), &number, &found), 0);
    return found;
  }
  void set_place(std::uint32_t number, const flow_place& changed) const {
    EXPECT_EQ(bpf_map_update_elem(maps_->flows.get(), &number, &changed, BPF_ANY), 0);
  }
  void note_in_place_0(std::uint32_t number) const {
    flow_place note{};
    note.claim = number;
    set_place(0, note);
  }

  std::optional<FlowTableMaps> maps_;
  std::optional<FlowTable> table_;
};

TEST_F(KernelFlowTableTest, APlaceIsUsedAgain) {
  fill(kLimit);
  EXPECT_FALSE(table_->put(numbered_key(99), numbered_flow(99))) << "full";

  EXPECT_TRUE(table_->erase(numbered_key(3)));
  EXPECT_FALSE(table_->erase(numbered_key(3)));

  EXPECT_FALSE(table_->find(numbered_key(3)));
  EXPECT_TRUE(table_->put(numbered_key(99), numbered_flow(99)));
  EXPECT_EQ(table_->find(numbered_key(99))->isn, 99U);
}

TEST_F(KernelFlowTableTest, ManyFlowsAreAddedAtOnce) {
  std::vector<flow_key> keys;
  std::vector<flow> flows;
  for (std::uint32_t i = 0; i < kLimit + 2; ++i) {
    keys.push_back(numbered_key(i));
    flows.push_back(numbered_flow(i));
  }

  EXPECT_EQ(table_->fill(std::span(keys).first(3), std::span(flows).first(3)), 3U);
  EXPECT_EQ(table_->fill(std::span(keys).subspan(3), std::span(flows).subspan(3)), kLimit - 3);

  for (std::uint32_t i = 0; i < kLimit; ++i) EXPECT_EQ(table_->find(keys[i])->isn, i);
  EXPECT_TRUE(table_->erase(keys[5]));
  EXPECT_EQ(room(), 1U);
}

// Kills erase() at each of its steps. No place is lost, and none is given to two flows, however
// often this happens.
TEST_F(KernelFlowTableTest, AKillWhileAFlowIsErasedLosesNoPlace) {
  constexpr std::uint32_t kErased = 3;
  const flow_key key = numbered_key(kErased);
  using Step = void (*)(const FlowTableMaps&, const flow_key&, flow_place&, std::uint32_t);
  const std::vector<std::pair<const char*, Step>> steps = {
      {"the state", [](auto&, auto&, flow_place& place, auto) { place.flow.state = 0; }},
      {"the key in `places`",
       [](auto& maps, auto& erased, auto&, auto) {
         EXPECT_EQ(bpf_map_delete_elem(maps.places.get(), &erased), 0);
       }},
      {"the key in the place", [](auto&, auto&, flow_place& place, auto) { place.key = {}; }},
      {"the note",
       [](auto& maps, auto&, auto&, std::uint32_t number) {
         flow_place note{};
         note.claim = number;
         const __u32 zero = 0;
         EXPECT_EQ(bpf_map_update_elem(maps.flows.get(), &zero, &note, BPF_ANY), 0);
       }},
      {"the claim", [](auto&, auto&, flow_place& place, auto) { place.claim = PLACE_FREE; }},
      {"the stack",
       [](auto& maps, auto&, auto&, std::uint32_t number) {
         EXPECT_EQ(bpf_map_update_elem(maps.free_places.get(), nullptr, &number, BPF_ANY), 0);
       }},
  };
  for (std::size_t done = 1; done <= steps.size(); ++done) {
    SCOPED_TRACE(std::string("killed after ") + steps[done - 1].first);
    maps_.emplace(kLimit);
    table_.emplace(maps_->fds());
    fill(kLimit);
    const std::uint32_t number = *table_->places().find(key);
    flow_place changed = place(number);
    for (std::size_t i = 0; i < done; ++i) {
      steps[i].second(*maps_, key, changed, number);
      set_place(number, changed);
    }

    restart_and_scan();

    EXPECT_FALSE(table_->find(key));
    EXPECT_EQ(table_->places().find(key), std::nullopt) << "the port could not be used again";
    EXPECT_EQ(room(), 1U);
    for (std::uint32_t i = 0; i < kLimit; ++i) {
      EXPECT_EQ(table_->find(numbered_key(i)).has_value(), i != kErased) << i;
    }
  }
}

// The note is older than the place's present use.
TEST_F(KernelFlowTableTest, ANoteOfAPlaceInUseIsIgnored) {
  fill(kLimit);
  note_in_place_0(2);

  EXPECT_EQ(restart_and_scan(), 0U);

  EXPECT_EQ(room(), 0U);
  EXPECT_EQ(place(0).claim, 0U);
}

TEST_F(KernelFlowTableTest, ANoteOfNoPlaceIsIgnored) {
  note_in_place_0(kLimit + 1);
  EXPECT_EQ(restart_and_scan(), 0U);
  EXPECT_EQ(room(), kLimit);
}

// The packet path takes a place before it writes the flow.
TEST_F(KernelFlowTableTest, APlaceThatIsEmptyInOnePassOnlyIsLeftAlone) {
  fill(2);
  const std::uint32_t number = *table_->places().find(numbered_key(1));
  flow_place taken = place(number);
  taken.flow.state = 0;
  set_place(number, taken);
  PlaceReclaimer reclaimer(*table_);

  reclaimer.step();
  taken.flow.state = FLOW_ESTABLISHED;
  set_place(number, taken);
  for (int i = 0; i < 3; ++i) reclaimer.step();

  EXPECT_EQ(reclaimer.reclaimed(), 0U);
  EXPECT_TRUE(table_->find(numbered_key(1)));
}

// Meanwhile the port was used again, and its new flow lies elsewhere.
TEST_F(KernelFlowTableTest, AnEmptyPlaceIsGivenBackWithoutItsKeysNewFlow) {
  fill(1);
  const std::uint32_t number = *table_->places().find(numbered_key(0));
  flow_place lost = place(number);
  lost.flow.state = 0;
  set_place(number, lost);
  ASSERT_TRUE(table_->places().erase(numbered_key(0)));
  fill(1);
  ASSERT_NE(*table_->places().find(numbered_key(0)), number);

  EXPECT_EQ(restart_and_scan(), 1U);

  EXPECT_TRUE(table_->find(numbered_key(0)));
  EXPECT_EQ(room(), kLimit - 1);
}

TEST_F(KernelFlowTableTest, ANewerFlowStays) {
  flow entry = numbered_flow(1);
  entry.seen_at_ns = 100;
  entry.edge = 0xffffff00;
  ASSERT_TRUE(table_->put_if_newer(numbered_key(1), entry));

  flow other = entry;
  other.isn = 2;
  EXPECT_FALSE(table_->put_if_newer(numbered_key(1), other)) << "as old";
  other.seen_at_ns = 99;
  EXPECT_FALSE(table_->put_if_newer(numbered_key(1), other));
  EXPECT_EQ(table_->find(numbered_key(1))->isn, 1U);
  other.seen_at_ns = 100;
  other.edge = 0x10;  // beyond 2^32
  EXPECT_TRUE(table_->put_if_newer(numbered_key(1), other));
  EXPECT_EQ(table_->find(numbered_key(1))->isn, 2U);
}

}  // namespace
}  // namespace remora
