// SPDX-License-Identifier: Apache-2.0
//
// Whose turn it is in an evacuation, and when. With the kernel's maps, in a namespace
// of the test's own; needs root.
#include "daemon/evacuation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "bpf/parse.h"
#include "daemon/bpf_programs.h"
#include "tests/daemon/lb_network.h"

namespace remora {
namespace {

constexpr const char* kConfig = R"(
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
reals = [ { address = "10.1.3.101" }, { address = "10.1.3.102" } ]
[limits]
clients = 20000
flows = 20000
half_open = 1024
events_kib = 64
)";

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::uint32_t kReal = 1, kOther = 2;

class EvacuationTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    network_.emplace();
    network_->add_default_routes();
    config_ = parse_config(kConfig, "test.toml");
    programs_ = std::make_unique<BpfPrograms>(
        config_, pin_folder("/sys/fs/bpf", "test-evacuation-" + std::to_string(getpid())),
        network_->lb_index());
    tables_ = std::make_unique<Tables>(*programs_);
    numbers_ = std::make_unique<Numbers>(*tables_, 64);
    steering_ = std::make_unique<Steering>(*tables_, *numbers_);
    steering_->apply(config_, 1500);
    mender_ = std::make_unique<Mender>(config_);
    evacuation_ = std::make_unique<Evacuation>(*tables_, *steering_, *mender_);
  }

  flow_key key(std::uint32_t number) const {
    return {Address::from_ipv4(host_to_net32(0x0a010000 + number)).abi(), host_to_net16(40000),
            numbers_->of_service("mqtt")};
  }

  void add_flows(std::uint32_t first, std::uint32_t count, std::uint32_t real,
                 flow_state state = FLOW_ESTABLISHED) {
    for (std::uint32_t i = first; i < first + count; ++i) {
      flow entry{};
      entry.real = real;
      entry.group = numbers_->of_group("rest");
      entry.state = state;
      entry.isn = i;
      tables_->flows.put(key(i), entry);
      tables_->guards.put(key(i).client, {0, 0, 1});
    }
  }

  void start(std::uint32_t per_second) {
    evacuation_->start(kReal, {numbers_->of_group("rest")}, per_second);
  }

  // Every 50 ms, as the daemon does it.
  void run_for(std::uint64_t period_ns) {
    for (const std::uint64_t end = now_ + period_ns; now_ < end; now_ += 50 * kMs) {
      evacuation_->step(now_);
    }
  }

  std::uint32_t count(flow_state state) const {
    std::uint32_t found = 0;
    BatchReader<flow_key, flow> reader(tables_->flows, 4096);
    for (auto [keys, values] = reader.next(); !keys.empty();
         std::tie(keys, values) = reader.next()) {
      for (const flow& entry : values) found += entry.state == state ? 1 : 0;
    }
    return found;
  }

  bool is_running() const { return evacuation_->is_evacuated(numbers_->of_group("rest"), kReal); }

  std::optional<LbNetwork> network_;
  Config config_;
  std::unique_ptr<BpfPrograms> programs_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<Numbers> numbers_;
  std::unique_ptr<Steering> steering_;
  std::unique_ptr<Mender> mender_;
  std::unique_ptr<Evacuation> evacuation_;
  std::uint64_t now_ = kSecond;
};

TEST_F(EvacuationTest, SoManyASecondAreAskedAndNobodyElse) {
  add_flows(0, 10'000, kReal);
  add_flows(10'000, 5'000, kOther);
  start(50);

  run_for(2 * kSecond);

  EXPECT_NEAR(static_cast<double>(evacuation_->counts().asked), 100, 5);
  EXPECT_EQ(tables_->flows.find(key(12'000))->state, FLOW_ESTABLISHED);
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

  EXPECT_EQ(tables_->flows.find(key(0))->state, FLOW_LEAVING);
  EXPECT_EQ(tables_->guards.find(key(0).client)->connections, 0U);
}

TEST_F(EvacuationTest, WhoDoesNotAnswerIsEndedByForce) {
  add_flows(0, 3, kReal);
  start(1000);

  run_for(2 * kSecond);
  EXPECT_EQ(count(FLOW_LEAVING), 3U);
  run_for(2 * kSecond);

  EXPECT_EQ(count(FLOW_CONDEMNED), 3U);
  EXPECT_EQ(evacuation_->counts().forced, 3U);
  EXPECT_EQ(mender_->counts().reset_ends, 3U);
}

TEST_F(EvacuationTest, AConnectionThatTookThePlaceOfOneThatLeftIsLeftAlone) {
  add_flows(0, 1, kReal);
  start(1000);
  run_for(200 * kMs);
  ASSERT_EQ(evacuation_->counts().asked, 1U);
  flow newer = tables_->flows.find(key(0)).value();
  newer.isn = 77;
  newer.real = kOther;
  newer.state = FLOW_ESTABLISHED;
  tables_->flows.put(key(0), newer);

  run_for(5 * kSecond);

  EXPECT_EQ(tables_->flows.find(key(0))->state, FLOW_ESTABLISHED);
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
