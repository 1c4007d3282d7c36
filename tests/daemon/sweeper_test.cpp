// SPDX-License-Identifier: Apache-2.0
//
// How long a silent flow stays.
#include "daemon/sessions/sweeper.h"

#include "tests/daemon/flows_fixture.h"

namespace remora {
namespace {

constexpr std::uint64_t kHour = 3600 * kSecond;
constexpr std::uint16_t kMinute = 60;  // a keepalive

class SweeperTest : public FlowsTest {
 protected:
  static constexpr std::uint64_t kSeenAt = kSecond;

  flow entry(__u16 keep_alive, __u8 stream_flags) const {
    flow entry = entry_of(0, kReal, FLOW_ESTABLISHED, "rest");
    entry.seen_at_ns = kSeenAt;
    entry.keep_alive = keep_alive;
    entry.stream.flags = stream_flags;
    return entry;
  }

  static constexpr __u8 kMqtt3 = STREAM_CONNECTED;
  static constexpr __u8 kMqtt5 = STREAM_CONNECTED | STREAM_MQTT5;

  // Nanoseconds of silence after which such a flow is gone.
  std::uint64_t limit(const flow& entry, std::uint16_t server_keep_alive = 0) const {
    Config config = running_->config;
    config.services.front().server_keep_alive = server_keep_alive;
    return IdleLimits(config, running_->ids).of(key(0).service, entry);
  }
};

TEST_F(SweeperTest, AFlowOutlivesTwiceItsKeepaliveAndHalfAMinute) {
  EXPECT_EQ(limit(entry(kMinute, kMqtt3)), 150 * kSecond);
  EXPECT_EQ(limit(entry(1, kMqtt3)), 32 * kSecond);
}

TEST_F(SweeperTest, WithoutAKeepaliveOnlyIdleHoursCount) {
  EXPECT_EQ(limit(entry(0, kMqtt3)), 24 * kHour);
  EXPECT_EQ(limit(entry(0, kMqtt5), 600), 24 * kHour);
  EXPECT_EQ(limit(entry(0, 0)), 24 * kHour) << "its CONNECT is not read yet";
}

TEST_F(SweeperTest, AnMqtt5BrokerMayHaveGivenItsClientAnotherKeepalive) {
  EXPECT_EQ(limit(entry(kMinute, kMqtt5)), 24 * kHour);
  EXPECT_EQ(limit(entry(kMinute, kMqtt5), 600), 1230 * kSecond);
  EXPECT_EQ(limit(entry(900, kMqtt5), 600), 1830 * kSecond) << "or not";
  EXPECT_EQ(limit(entry(kMinute, kMqtt3), 600), 150 * kSecond) << "an older client knows of none";
}

TEST_F(SweeperTest, IdleHoursAreTheMost) {
  EXPECT_EQ(limit(entry(65'535, kMqtt3)), 24 * kHour);
}

TEST_F(SweeperTest, AFlowWhoseClientFellSilentLeavesItsPlaceAndItsClientsShare) {
  History history({.path = files_ / "history.db"});
  Sweeper sweeper(running_->maps, running_->ids, history,
                  IdleLimits(running_->config, running_->ids));
  FlowScan scan(running_->maps.flows);
  scan.add(sweeper);
  running_->maps.flows.put(key(0), entry(kMinute, kMqtt3));
  const client_key client{key(0).client, key(0).service, 0};
  running_->maps.predictions.count_connection(client, 1);

  scan.run_pass(kSeenAt + 150 * kSecond);
  EXPECT_TRUE(running_->maps.flows.find(key(0)));

  scan.run_pass(kSeenAt + 161 * kSecond);
  EXPECT_FALSE(running_->maps.flows.find(key(0)));
  EXPECT_EQ(running_->maps.predictions.entry(client)->connections, 0u);
  EXPECT_EQ(sweeper.expired(), 1u);
}

}  // namespace
}  // namespace remora
