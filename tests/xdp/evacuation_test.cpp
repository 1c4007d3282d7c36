// SPDX-License-Identifier: Apache-2.0
//
// The end of a connection that the daemon has marked as leaving: at a bare ACK between two MQTT
// packets, and nowhere else.
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class EvacuationTest : public SteerTest {
 protected:
  // Marks the flow as the daemon does, after `silent_ns` without a packet.
  void evacuate(const Client& client, std::uint64_t silent_ns = 0) {
    flow entry = flow_of(client).value();
    entry.state = FLOW_LEAVING;
    entry.seen_at_ns -= silent_ns;
    chain_->flows().put(key_of(client), entry);
  }
  static constexpr std::uint64_t kTwoSeconds = 2'000'000'000;
};

TEST_F(EvacuationTest, ABareAckEndsIt) {
  Client client = connect();
  evacuate(client, kTwoSeconds);

  const Outcome out = send(client.ack());

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.mark().action, ACTION_RESET);
  EXPECT_EQ(out.mark().flags, EVENT_SEGMENT | EVENT_TOPIC_APART | EVENT_EVACUATED);
  EXPECT_EQ(out.mark().seq, client.next_seq());
  EXPECT_EQ(out.mark().publish_offset, 0);
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
  EXPECT_EQ(counter(COUNT_EVACUATED), 1u);
  EXPECT_TRUE(send(client.ack()).is_rst());
}

TEST_F(EvacuationTest, AnMqtt5ClientMayBeToldWhenItWasQuiet) {
  for (const std::uint64_t silent_ns : {std::uint64_t{0}, kTwoSeconds}) {
    Client client = connect(kClient, 1000, MqttVersion::k5);
    evacuate(client, silent_ns);

    const Outcome out = send(client.ack());

    ASSERT_TRUE(out.is_marked());
    EXPECT_EQ((out.mark().flags & EVENT_TELL) != 0, silent_ns != 0);
    chain_->flows().erase(key_of(client));
  }
}

TEST_F(EvacuationTest, MessagesGoOnUntilThen) {
  Client client = connect();
  evacuate(client, kTwoSeconds);

  EXPECT_TRUE(publish(client, "anything").forwarded());
  EXPECT_TRUE(publish(client, "anything").forwarded());

  EXPECT_TRUE(send(client.ack()).is_marked());
}

TEST_F(EvacuationTest, AnAckThatIsNotTheLastEndsNothing) {
  Client client = connect();
  const Segment old = client.ack();
  ASSERT_TRUE(publish(client, "anything").forwarded());
  evacuate(client, kTwoSeconds);

  EXPECT_TRUE(send(old).forwarded());
  EXPECT_EQ(flow_of(client)->state, FLOW_LEAVING);
}

TEST_F(EvacuationTest, NothingEndsInTheMiddleOfAMessage) {
  const Bytes message = publish_packet("anything", "21.5");
  const std::size_t cuts[] = {1, 3, 8, message.size() - 1};
  for (const std::size_t cut : cuts) {
    Client client = connect();
    evacuate(client, kTwoSeconds);

    EXPECT_TRUE(send(client.send({message.begin(), message.begin() + cut})).forwarded());
    EXPECT_TRUE(send(client.ack()).forwarded()) << cut;
    EXPECT_TRUE(send(client.send({message.begin() + cut, message.end()})).forwarded());
    EXPECT_TRUE(send(client.ack()).is_marked()) << cut;
    chain_->flows().erase(key_of(client));
  }
}

TEST_F(EvacuationTest, OfAStreamWithoutBoundariesTheSessionEndsByForce) {
  Client client = connect();
  flow entry = flow_of(client).value();
  entry.stream.blind = 1;
  chain_->flows().put(key_of(client), entry);
  evacuate(client, kTwoSeconds);

  const Outcome out = send(client.ack());

  ASSERT_TRUE(out.is_marked());
  EXPECT_NE(out.mark().flags & EVENT_BEGAN_EARLIER, 0);
}

}  // namespace
}  // namespace remora
