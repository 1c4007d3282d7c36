// SPDX-License-Identifier: Apache-2.0
//
// Rings in the kernel's maps, as reals are drained and weighed. In a namespace of
// the test's own; needs root.
#include "daemon/steering/steering.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>

#include "bpf/parse.h"
#include "daemon/kernel/programs.h"
#include "daemon/ring/maglev.h"
#include "tests/daemon/lb_network.h"

namespace remora {
namespace {

const Address kA = Address::parse("10.1.3.101").value();
const Address kB = Address::parse("10.1.3.102").value();
constexpr std::uint32_t kMtu = 1500;
const service_key kServiceKey{Address::parse("10.1.50.200")->abi(), host_to_net16(1883), 0};

Config config_with(const std::string& reals) {
  return parse_config(R"(
[lb]
interface = "lb"
gateway_mac = "02:00:00:00:00:01"
[[service]]
name = "mqtt"
address = "10.1.50.200"
port = 1883
default_group = "rest"
[[group]]
name = "rest"
vip = "10.1.50.203"
reals = [ )" + reals + R"( ]
[limits]
clients = 1000
flows = 1000
half_open = 1024
events_kib = 64
)",
                      "test.toml");
}

const std::string kBoth = R"({ address = "10.1.3.101" }, { address = "10.1.3.102" })";

class SteeringTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    network_.emplace();
    config_ = config_with(kBoth);
    programs_ = std::make_unique<Programs>(
        config_, pin_folder("/sys/fs/bpf", "test-steering-" + std::to_string(getpid())),
        network_->lb_index());
    forwarder_ = make_forwarder(config_, *programs_, network_->lb_index());
    maps_ = std::make_unique<Maps>(*programs_);
    start_daemon();
  }

  // Another daemon on the same tables.
  void start_daemon() {
    ids_ = std::make_unique<Ids>(*maps_, 64);
    steering_ = std::make_unique<Steering>(*maps_, *ids_, *forwarder_);
    steering_->apply(config_, kMtu);
  }

  void reload(const std::string& reals) {
    config_ = config_with(reals);
    steering_->apply(config_, kMtu);
  }

  std::uint32_t slot(std::uint32_t number) const {
    return ids_->of_group("rest") * RING_SIZE + number;
  }

  std::set<Address> in_ring() const {
    std::set<Address> found;
    for (std::uint32_t i = 0; i < RING_SIZE; i += 97) {
      found.insert(ids_->real_address(maps_->rings.find(slot(i)).value()).value());
    }
    return found;
  }

  std::optional<LbNetwork> network_;
  Config config_;
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<Maps> maps_;
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
  reload(R"({ address = "10.1.3.102" })");
  reload(kBoth);
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
}

TEST_F(SteeringTest, ADrainOutlivesAReloadButNotItsReal) {
  steering_->drain(kA, std::nullopt);

  reload(R"({ address = "10.1.3.101", weight = 3 }, { address = "10.1.3.102" })");
  EXPECT_EQ(in_ring(), Some{kB});

  reload(R"({ address = "10.1.3.102" })");
  reload(kBoth);
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
  start_daemon();
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
}

TEST_F(SteeringTest, TheRingIsOfTheConfiguredVariant) {
  for (const RingVariant variant : {RingVariant::kMaglev, RingVariant::kMaglevV2}) {
    config_ = config_with("{ address = \"10.1.3.101\" }, { address = \"10.1.3.102\", weight = 9 }");
    config_.lb.ring = variant;
    start_daemon();

    const auto ring = build_ring(
        std::vector<RingReal>{{kA, 1, ids_->of_real(kA)}, {kB, 9, ids_->of_real(kB)}}, variant);
    std::size_t of_b = 0;
    for (std::uint32_t i = 0; i < RING_SIZE; ++i) of_b += ring[i] == ids_->of_real(kB);

    EXPECT_NEAR(static_cast<double>(of_b) / RING_SIZE, variant == RingVariant::kMaglev ? 0.5 : 0.9,
                0.01);
    for (std::uint32_t i = 0; i < RING_SIZE; i += 97)
      ASSERT_EQ(maps_->rings.find(slot(i)), ring[i]) << i;
  }
}

TEST_F(SteeringTest, ARingThatDoesNotChangeIsNotWritten) {
  constexpr std::uint32_t kMark = 4000;
  maps_->rings.put(slot(5), kMark);

  reload(kBoth);
  steering_->enable(kA, std::nullopt);
  EXPECT_EQ(maps_->rings.find(slot(5)), kMark);

  reload(R"({ address = "10.1.3.101", weight = 2 }, { address = "10.1.3.102" })");
  EXPECT_NE(maps_->rings.find(slot(5)), kMark);
}

TEST_F(SteeringTest, ARenamedServiceKeepsItsNumber) {
  const std::uint16_t number = maps_->services.find(kServiceKey)->number;

  config_.services[0].name = "telemetry";
  steering_->apply(config_, kMtu);
  EXPECT_EQ(maps_->services.find(kServiceKey)->number, number);

  start_daemon();
  EXPECT_EQ(maps_->services.find(kServiceKey)->number, number);
}

TEST_F(SteeringTest, ServicesThatSwapTheirNamesKeepTheirNumbers) {
  config_.services.push_back(config_.services[0]);
  config_.services[1].name = "backup";
  config_.services[1].port = 1884;
  steering_->apply(config_, kMtu);
  const std::uint16_t number = maps_->services.find(kServiceKey)->number;

  std::swap(config_.services[0].name, config_.services[1].name);
  start_daemon();

  EXPECT_EQ(maps_->services.find(kServiceKey)->number, number);
}

TEST_F(SteeringTest, AServiceTakesOverTheNumberThatItsNameHadInAnEarlierVersion) {
  constexpr std::uint16_t kNumber = 7;
  name_key by_name{.kind = NAME_SERVICE, .name = "telemetry"};
  maps_->names.put(by_name, kNumber);
  config_.services[0].name = "telemetry";
  config_.services[0].port = 1884;

  start_daemon();

  const service_key moved{kServiceKey.address, host_to_net16(1884), 0};
  EXPECT_EQ(maps_->services.find(moved)->number, kNumber);
  EXPECT_EQ(ids_->service_text(kNumber), "10.1.50.200:1884");
  EXPECT_FALSE(maps_->names.find(by_name)) << "another service of that name would take it, too";
}

TEST_F(SteeringTest, AnUnknownRealIsRefusedAndChangesNothing) {
  EXPECT_THROW(steering_->drain(Address::parse("10.1.3.9").value(), std::nullopt),
               std::runtime_error);
  EXPECT_THROW(steering_->drain(kA, "nobody"), std::runtime_error);
  EXPECT_EQ(in_ring(), (Some{kA, kB}));
}

}  // namespace
}  // namespace remora
