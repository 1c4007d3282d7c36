// SPDX-License-Identifier: Apache-2.0
//
// Whose connections end when a real is dead. With the kernel's maps, in a namespace of the
// test's own; needs root.
#include "daemon/severance.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <tuple>

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
[[group]]
name = "other"
vip = "10.1.50.204"
reals = [ { address = "10.1.3.101" } ]
[limits]
clients = 20000
flows = 20000
half_open = 1024
events_kib = 64
)";

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::uint32_t kReal = 1, kOther = 2;

class SeveranceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    network_.emplace();
    network_->add_default_routes();
    config_ = parse_config(kConfig, "test.toml");
    programs_ = std::make_unique<BpfPrograms>(
        config_, pin_folder("/sys/fs/bpf", "test-severance-" + std::to_string(getpid())),
        network_->lb_index());
    tables_ = std::make_unique<Tables>(*programs_);
    numbers_ = std::make_unique<Numbers>(*tables_, 64);
    steering_ = std::make_unique<Steering>(*tables_, *numbers_);
    steering_->apply(config_, 1500);
    mender_ = std::make_unique<Mender>(config_);
    severance_ = std::make_unique<Severance>(*tables_, *steering_, *mender_);
  }

  flow_key key(std::uint32_t number) const {
    return {Address::from_ipv4(host_to_net32(0x0a010000 + number)).abi(), host_to_net16(40000),
            numbers_->of_service("mqtt")};
  }

  flow entry_of(std::uint32_t number, std::uint32_t real, flow_state state,
                const char* group) const {
    flow entry{};
    entry.real = real;
    entry.group = numbers_->of_group(group);
    entry.state = state;
    entry.isn = number;
    return entry;
  }

  void add_flows(std::uint32_t first, std::uint32_t count, std::uint32_t real,
                 flow_state state = FLOW_ESTABLISHED, const char* group = "rest") {
    for (std::uint32_t i = first; i < first + count; ++i) {
      tables_->flows.put(key(i), entry_of(i, real, state, group));
      tables_->guards.put(key(i).client, {0, 0, 1});
    }
  }

  void start() { severance_->start(numbers_->of_group("rest"), kReal); }

  // Every 50 ms, as the daemon does it.
  void run_for(std::uint64_t period_ns) {
    for (const std::uint64_t end = now_ + period_ns; now_ < end; now_ += 50 * kMs) {
      severance_->step(now_);
    }
  }

  std::uint8_t state_of(std::uint32_t number) const {
    return tables_->flows.find(key(number))->state;
  }

  std::uint32_t condemned() const {
    std::uint32_t found = 0;
    BatchReader<flow_key, flow> reader(tables_->flows, 4096);
    for (auto [keys, values] = reader.next(); !keys.empty();
         std::tie(keys, values) = reader.next()) {
      for (const flow& entry : values) found += entry.state == FLOW_CONDEMNED ? 1 : 0;
    }
    return found;
  }

  std::optional<LbNetwork> network_;
  Config config_;
  std::unique_ptr<BpfPrograms> programs_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<Numbers> numbers_;
  std::unique_ptr<Steering> steering_;
  std::unique_ptr<Mender> mender_;
  std::unique_ptr<Severance> severance_;
  std::uint64_t now_ = kSecond;
};

TEST_F(SeveranceTest, EndsTheConnectionsOfThatRealInThatGroupAndNoOthers) {
  add_flows(0, 3, kReal);
  add_flows(10, 1, kReal, FLOW_LEAVING);
  add_flows(20, 1, kOther);
  add_flows(21, 1, kReal, FLOW_CLOSING);
  add_flows(22, 1, kReal, FLOW_ESTABLISHED, "other");

  start();
  run_for(kSecond);

  for (const std::uint32_t number : {0u, 1u, 2u, 10u}) {
    EXPECT_EQ(state_of(number), FLOW_CONDEMNED) << number;
  }
  EXPECT_EQ(state_of(20), FLOW_ESTABLISHED);
  EXPECT_EQ(state_of(21), FLOW_CLOSING);
  EXPECT_EQ(state_of(22), FLOW_ESTABLISHED);
  EXPECT_EQ(severance_->severed(), 4u);
  EXPECT_EQ(tables_->guards.find(key(0).client)->connections, 0u) << "counted no more";
  EXPECT_EQ(tables_->guards.find(key(20).client)->connections, 1u);
}

TEST_F(SeveranceTest, DoesNotDoMoreThanTheLoopBearsInOneStep) {
  add_flows(0, 2000, kReal);
  start();
  severance_->step(now_);
  EXPECT_EQ(condemned(), 500u);
  run_for(kSecond);
  EXPECT_EQ(condemned(), 2000u);
}

TEST_F(SeveranceTest, ForgetsWhatIsBeingOpened) {
  const half_open_key mine{key(1), 1}, other{key(2), 2};
  tables_->half_open.put(mine, entry_of(1, kReal, FLOW_HALF_OPEN, "rest"));
  tables_->half_open.put(other, entry_of(2, kOther, FLOW_HALF_OPEN, "rest"));

  start();
  run_for(kSecond);

  EXPECT_FALSE(tables_->half_open.find(mine));
  EXPECT_TRUE(tables_->half_open.find(other));
}

TEST_F(SeveranceTest, StopsWhenTheRealLivesAgain) {
  add_flows(0, 1000, kReal);
  start();
  severance_->step(now_);
  severance_->stop(numbers_->of_group("rest"), kReal);
  run_for(kSecond);
  EXPECT_EQ(condemned(), 500u);
}

TEST_F(SeveranceTest, AsksTheClientUntilItsResetCannotBeMissed) {
  add_flows(0, 1, kReal);
  start();
  run_for(5 * kSecond);
  // Each time two ACKs; and one RST to the broker.
  std::uint32_t to_client = 0, to_broker = 0;
  while (const auto packet = network_->next_packet()) {
    const bool is_outer = (*packet)[9] == IPPROTO_IPIP;
    ++(is_outer ? to_broker : to_client);
  }
  EXPECT_EQ(to_client, 6u);
  EXPECT_EQ(to_broker, 1u);
}

}  // namespace
}  // namespace remora
