// SPDX-License-Identifier: Apache-2.0
//
// Rings in the kernel's maps when reals are drained or change their weight. Runs in a namespace
// of its own; needs root.
#include "daemon/steering/steering.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "bpf/parse.h"
#include "daemon/ring/maglev.h"
#include "tests/daemon/lb_fixture.h"

namespace remora {
namespace {

const Address kA = Address::parse("10.1.3.101").value();
const Address kB = Address::parse("10.1.3.102").value();
const service_key kServiceKey{Address::parse("10.1.50.200")->abi(), host_to_net16(1883), 0};
using Reals = std::vector<LbText::Real>;
const Reals kBoth = {{"10.1.3.101"}, {"10.1.3.102"}};

Config config_with(const Reals& reals) {
  return LbText{.groups = {{"rest", "10.1.50.203", reals}}}.config();
}

class SteeringTest : public LbTest {
 protected:
  void SetUp() override {
    LbTest::SetUp();
    if (IsSkipped()) return;
    config_ = config_with(kBoth);
    running_ = run(config_);
    start_daemon();
  }

  void TearDown() override {
    steering_.reset();
    ids_.reset();
    LbTest::TearDown();
  }

  // Starts another daemon on the same tables.
  void start_daemon() {
    ids_ = std::make_unique<Ids>(running_->maps, 64);
    steering_ = std::make_unique<Steering>(running_->maps, *ids_, *running_->forwarder);
    steering_->apply(config_, kMtu);
  }

  void reload(const Reals& reals) {
    config_ = config_with(reals);
    steering_->apply(config_, kMtu);
  }

  std::uint32_t slot(std::uint32_t number) const {
    return ids_->of_group("rest") * RING_SIZE + number;
  }

  std::set<Address> in_ring() const {
    std::set<Address> found;
    for (std::uint32_t i = 0; i < RING_SIZE; i += 97) {
      found.insert(ids_->real_address(running_->maps.rings.find(slot(i)).value()).value());
    }
    return found;
  }

  Config config_;
  std::unique_ptr<Ids> ids_;
  std::unique_ptr<Steering> steering_;
};

using Some = std::set<Address>;

TEST_F(SteeringTest, ADrainedRealHasNoSlotUntilItIsEnabled) {
  EXPECT_EQ(in_ring(), (Some{kA, kB}));

  EXPECT_EQ(steering_->drain(kA, std::nullopt), std::vector<std::string>{"rest"});
  EXPECT_EQ(in_ring(), Some{kB});

  steering_->enable(kA, "rest");
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
}

TEST_F(SteeringTest, ADrainOutlivesTheDaemon) {
  steering_->drain(kA, std::nullopt);

  start_daemon();

  EXPECT_EQ(in_ring(), Some{kB});
  EXPECT_EQ(steering_->reals().find("rest", kA)->state(), RealState::kDraining);
  steering_->enable(kA, std::nullopt);
  start_daemon();
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
}

TEST_F(SteeringTest, ADeathOutlivesTheDaemonButNotItsReal) {
  steering_->mark_dead("rest", kA);
  EXPECT_EQ(in_ring(), Some{kB});

  start_daemon();
  EXPECT_EQ(in_ring(), Some{kB});
  EXPECT_TRUE(steering_->reals().find("rest", kA)->dead);

  steering_->mark_alive("rest", kA);
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
  start_daemon();
  EXPECT_EQ(in_ring(), (Some{kA, kB}));

  steering_->mark_dead("rest", kA);
  reload({{"10.1.3.102"}});
  reload(kBoth);
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
}

TEST_F(SteeringTest, ADrainOutlivesAReloadButNotItsReal) {
  steering_->drain(kA, std::nullopt);

  reload({{"10.1.3.101", 3}, {"10.1.3.102"}});
  EXPECT_EQ(in_ring(), Some{kB});

  reload({{"10.1.3.102"}});
  reload(kBoth);
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
  start_daemon();
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
}

// 6000 addresses one after the other: more than there are numbers of reals.
TEST_F(SteeringTest, NumbersOfFormerRealsAreUsedAgainButForTheOnesWithConnections) {
  const auto thousand = [](int first) {
    std::vector<LbText::Real> reals;
    for (int i = first; i < first + 1000; ++i)
      reals.push_back({"10.9." + std::to_string(i / 250) + "." + std::to_string(i % 250)});
    return reals;
  };
  reload(thousand(0));
  const Address kept = Address::parse("10.9.0.7").value();
  flow living{};
  living.state = FLOW_ESTABLISHED;
  living.real = ids_->of_real(kept);
  running_->maps.flows.put({Address::parse("10.1.1.7")->abi(), 4711, 0}, living);

  for (int first = 1000; first < 6000; first += 1000) {
    SCOPED_TRACE(first);
    ASSERT_NO_THROW(reload(thousand(first)));
    for (const Address& real : in_ring()) EXPECT_TRUE(steering_->reals().find("rest", real));
    EXPECT_EQ(ids_->real_address(living.real), kept);
  }
  start_daemon();
  EXPECT_EQ(ids_->real_address(living.real), kept);
  for (const Address& real : in_ring()) EXPECT_TRUE(steering_->reals().find("rest", real));
}

TEST_F(SteeringTest, NumbersOfFormerGroupsAreUsedAgainButForTheOnesWithPredictions) {
  config_.limits.groups = 4;
  ids_ = std::make_unique<Ids>(running_->maps, 4);
  steering_ = std::make_unique<Steering>(running_->maps, *ids_, *running_->forwarder);
  const auto configure = [&](const std::string& name) {
    config_.groups.resize(1);
    config_.groups.push_back(config_.groups.front());
    config_.groups.back().name = name;
    steering_->apply(config_, kMtu);
    return ids_->of_group(name);
  };
  const std::uint16_t predicted = configure("a");
  running_->maps.predictions.put({Address::parse("10.1.1.7")->abi(), 0, 0},
                                 {.topic_hash = 1, .group = predicted});

  for (const char* name : {"b", "c", "d", "e", "f", "g"}) {
    ASSERT_NO_THROW(configure(name)) << name;
    EXPECT_EQ(ids_->group_name(predicted), "a");
  }
}

TEST_F(SteeringTest, TheRingIsOfTheConfiguredVariant) {
  for (const RingVariant variant : {RingVariant::kMaglev, RingVariant::kMaglevV2}) {
    config_ = config_with({{"10.1.3.101"}, {"10.1.3.102", 9}});
    config_.lb.ring = variant;
    start_daemon();

    const auto ring = build_ring(
        std::vector<RingReal>{{kA, 1, ids_->of_real(kA)}, {kB, 9, ids_->of_real(kB)}}, variant);
    std::size_t of_b = 0;
    for (std::uint32_t i = 0; i < RING_SIZE; ++i) of_b += ring[i] == ids_->of_real(kB);

    EXPECT_NEAR(static_cast<double>(of_b) / RING_SIZE, variant == RingVariant::kMaglev ? 0.5 : 0.9,
                0.01);
    for (std::uint32_t i = 0; i < RING_SIZE; i += 97)
      ASSERT_EQ(running_->maps.rings.find(slot(i)), ring[i]) << i;
  }
}

TEST_F(SteeringTest, ARingThatDoesNotChangeIsNotWritten) {
  constexpr std::uint32_t kMark = 4000;
  running_->maps.rings.put(slot(5), kMark);

  reload(kBoth);
  steering_->enable(kA, std::nullopt);
  EXPECT_EQ(running_->maps.rings.find(slot(5)), kMark);

  reload({{"10.1.3.101", 2}, {"10.1.3.102"}});
  EXPECT_NE(running_->maps.rings.find(slot(5)), kMark);
}

TEST_F(SteeringTest, ARenamedServiceKeepsItsNumber) {
  const std::uint16_t number = running_->maps.services.find(kServiceKey)->number;

  config_.services[0].name = "telemetry";
  steering_->apply(config_, kMtu);
  EXPECT_EQ(running_->maps.services.find(kServiceKey)->number, number);

  start_daemon();
  EXPECT_EQ(running_->maps.services.find(kServiceKey)->number, number);
}

TEST_F(SteeringTest, ServicesThatSwapTheirNamesKeepTheirNumbers) {
  config_.services.push_back(config_.services[0]);
  config_.services[1].name = "backup";
  config_.services[1].port = 1884;
  steering_->apply(config_, kMtu);
  const std::uint16_t number = running_->maps.services.find(kServiceKey)->number;

  std::swap(config_.services[0].name, config_.services[1].name);
  start_daemon();

  EXPECT_EQ(running_->maps.services.find(kServiceKey)->number, number);
}

TEST_F(SteeringTest, AServiceTakesOverTheNumberThatItsNameHadInAnEarlierVersion) {
  constexpr std::uint16_t kNumber = 7;
  name_key by_name{.kind = NAME_SERVICE, .name = "telemetry"};
  running_->maps.names.put(by_name, kNumber);
  config_.services[0].name = "telemetry";
  config_.services[0].port = 1884;

  start_daemon();

  const service_key moved{kServiceKey.address, host_to_net16(1884), 0};
  EXPECT_EQ(running_->maps.services.find(moved)->number, kNumber);
  EXPECT_EQ(ids_->service_text(kNumber), "10.1.50.200:1884");
  EXPECT_FALSE(running_->maps.names.find(by_name))
      << "another service of that name would take it, too";
}

TEST_F(SteeringTest, AnUnknownRealIsRefusedAndChangesNothing) {
  EXPECT_THROW(steering_->drain(Address::parse("10.1.3.9").value(), std::nullopt),
               std::runtime_error);
  EXPECT_THROW(steering_->drain(kA, "nobody"), std::runtime_error);
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
}

}  // namespace
}  // namespace remora
