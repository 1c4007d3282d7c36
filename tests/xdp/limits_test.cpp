// SPDX-License-Identifier: Apache-2.0
//
// Full tables: something is not tracked or not recorded, a counter shows it, and traffic
// continues.
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class FewFlowsTest : public SteerTest {
 protected:
  FewFlowsTest() : SteerTest({.flows = 4}) {}
};

Peer numbered_client(std::uint32_t n) {
  return {ipv4("10.9.0.0") + n, 40'000};
}

TEST_F(FewFlowsTest, AFullTableCostsTrackingAndNothingElse) {
  std::vector<Client> tracked;
  for (std::uint32_t n = 0; n < 4; n++) tracked.push_back(connect(numbered_client(n)));
  ASSERT_EQ(counter(COUNT_ESTABLISHED), 4u);
  predict(numbered_client(9), kTemperature);

  Client late(numbered_client(9), kService);
  EXPECT_EQ(send(late.syn()).group(), kTemperature);
  EXPECT_EQ(send(late.ack()).group(), kTemperature);
  EXPECT_EQ(send(late.send(connect_packet())).group(), kTemperature);
  EXPECT_EQ(publish(late, kHumidityTopic).group(), kTemperature) << "not judged";
  EXPECT_EQ(publish(late, kHumidityTopic).group(), kTemperature);

  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 1u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  for (const Client& client : tracked) EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(guard_of(numbered_client(9))->connections, 0u);
}

TEST_F(FewFlowsTest, AFullTableStillTakesAReconnectOnTheSamePort) {
  for (std::uint32_t n = 0; n < 4; n++) connect(numbered_client(n));

  const Client again = connect(numbered_client(0), 777'000);

  EXPECT_EQ(flow_of(again)->isn, again.isn());
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 0u);
}

TEST_F(FewFlowsTest, AFloodOfSynsEvictsNoEstablishedConnection) {
  predict(kClient, kTemperature);
  Client client = connect();
  predict(kClient, kHumidity);

  for (std::uint32_t n = 0; n < 20'000; n++) send(Client(numbered_client(n), kService, n).syn());

  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kTemperature);
  EXPECT_EQ((chain_->map<flow_key, __u32>("places").size()), 1u);
  EXPECT_LE((chain_->map<half_open_key, flow>("half_open").size()), 1024u);
}

class LimitsTest : public SteerTest {};

TEST_F(LimitsTest, ConnectionsOfOneClientAreCapped) {
  settings_.connections_per_client = 2;
  write(settings_);
  Client first = connect({kClient.address, 40'001});
  connect({kClient.address, 40'002});

  Client third = connect({kClient.address, 40'003});

  EXPECT_FALSE(flow_of(third));
  EXPECT_EQ(counter(COUNT_CLIENT_CONNECTIONS), 1u);
  EXPECT_TRUE(publish(third, kTemperatureTopic).forwarded());
  EXPECT_FALSE(prediction_of(kClient)) << "an untracked connection teaches nothing";
  EXPECT_TRUE(flow_of(connect({kClient.address + 1, 40'004}))) << "others are not concerned";

  send(first.fin());
  EXPECT_TRUE(flow_of(connect({kClient.address, 40'005}))) << "there is room again";
  EXPECT_EQ(guard_of(kClient)->connections, 2u);
}

TEST_F(LimitsTest, AReconnectOnTheSamePortIsNoSecondConnection) {
  settings_.connections_per_client = 1;
  write(settings_);
  connect(kClient, 1000);

  const Client again = connect(kClient, 2000);

  EXPECT_EQ(flow_of(again)->isn, 2000u);
  EXPECT_EQ(guard_of(kClient)->connections, 1u);
  EXPECT_EQ(counter(COUNT_CLIENT_CONNECTIONS), 0u);
}

class SmallRingTest : public SteerTest {
 protected:
  SmallRingTest() : SteerTest({.event_bytes = 4096}) {}
};

TEST_F(SmallRingTest, AFullRingIsCountedAndTheNextRecordFits) {
  Client client = connect();
  const int published = 100;
  for (int i = 0; i < published; i++)
    EXPECT_TRUE(publish(client, "topic/" + std::to_string(i)).forwarded());

  const std::uint64_t lost = counter(COUNT_EVENT_LOST);
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(counter(COUNT_LEARNED), static_cast<std::uint64_t>(published));
  EXPECT_EQ(events().size(), published - lost);

  publish(client, "the/next/one");
  const auto records = events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].topic(), "the/next/one");
  EXPECT_EQ(counter(COUNT_EVENT_LOST), lost);
}

class FewPredictionsTest : public SteerTest {
 protected:
  FewPredictionsTest() : SteerTest({.predictions = 128, .guards = 128}) {}
};

TEST_F(FewPredictionsTest, MoreClientsThanPredictionsAreForwardedAllTheSame) {
  for (std::uint32_t n = 0; n < 1000; n++) {
    Client client = connect(numbered_client(n));
    ASSERT_TRUE(publish(client, "any").forwarded()) << n;
    send(client.fin());
  }
  EXPECT_LE((chain_->map<client_key, prediction>("predictions").size()), 128u);
  EXPECT_EQ(counter(COUNT_LEARNED), 1000u);
}

}  // namespace
}  // namespace remora
