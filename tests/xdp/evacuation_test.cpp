// SPDX-License-Identifier: Apache-2.0
//
// The end of a connection that the daemon has marked as leaving: only at a bare ACK between two
// MQTT packets.
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class EvacuationTest : public SteerTest {
 protected:
  // Marks the flow as the daemon does, after `silent_ns` without a packet.
  void evacuate(const Client& client, std::uint64_t silent_ns = 0,
                flow_state state = FLOW_LEAVING) {
    flow entry = flow_of(client).value();
    entry.state = state;
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

TEST_F(EvacuationTest, AStreamWithoutBoundariesWaitsUntilItIsHurriedAndIsReset) {
  Client client = connect();
  flow entry = flow_of(client).value();
  entry.stream.blind = 1;
  chain_->flows().put(key_of(client), entry);
  evacuate(client, kTwoSeconds);

  EXPECT_TRUE(send(client.ack()).forwarded());
  evacuate(client, kTwoSeconds, FLOW_HURRIED);
  const Outcome out = send(client.ack());

  ASSERT_TRUE(out.is_marked());
  EXPECT_NE(out.mark().flags & EVENT_BEGAN_EARLIER, 0);
}

// ---- messages of QoS 2 ----------------------------------------------------------

class Qos2Test : public EvacuationTest {
 protected:
  static Bytes message(std::uint16_t id, bool dup = false) {
    return publish_packet("anything", "21.5", {.qos = 2, .packet_id = id, .dup = dup});
  }
  std::uint16_t open(const Client& client) const { return flow_of(client)->open_qos2; }
  // Whether an evacuated connection would end now.
  bool can_end(Client& client) {
    const flow before = flow_of(client).value();
    evacuate(client);
    const bool ends = send(client.ack()).is_marked();
    chain_->flows().put(key_of(client), before);
    return ends;
  }
};

TEST_F(Qos2Test, AConnectionEndsBeforeAMessageOrAfterItsPubrel) {
  Client client = connect();
  EXPECT_TRUE(can_end(client));
  send(client.send(message(1)));
  EXPECT_FALSE(can_end(client));
  send(client.send(message(2) + pubrel_packet(1)));
  EXPECT_FALSE(can_end(client));
  send(client.send(pubrel_packet(2)));
  EXPECT_TRUE(can_end(client));
}

TEST_F(Qos2Test, OneThatIsHurriedDoesNotWait) {
  Client client = connect();
  send(client.send(message(1)));
  evacuate(client, kTwoSeconds, FLOW_HURRIED);

  const Outcome out = send(client.ack());

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.mark().flags & EVENT_BEGAN_EARLIER, 0) << "the session ends with a DISCONNECT";
}

TEST_F(Qos2Test, MessagesOfQos0And1DoNotCount) {
  Client client = connect();
  send(client.send(publish_packet("anything", "m", {.qos = 1}) + puback_packet(7)));
  publish(client, "anything");

  EXPECT_EQ(open(client), 0);
  EXPECT_TRUE(can_end(client));
}

TEST_F(Qos2Test, CountsWhereverTcpCutsTheStream) {
  const Bytes stream =
      message(1) + message(2) + pubrel_packet(1) + pingreq_packet() + message(3) + pubrel_packet(3);
  for (std::size_t first = 0; first < stream.size(); first++) {
    for (const std::size_t second : {first + 1, first + 2, first + 9}) {
      if (second >= stream.size()) continue;
      Client client = connect();
      const auto at = [&](std::size_t offset) { return stream.begin() + offset; };
      for (const auto& [from, to] :
           {std::pair(0ul, first), {first, second}, {second, stream.size()}}) {
        if (from != to) ASSERT_TRUE(send(client.send({at(from), at(to)})).forwarded());
      }
      ASSERT_EQ(open(client), 1) << first << " " << second;
      chain_->flows().erase(key_of(client));
    }
  }
}

TEST_F(Qos2Test, RepeatedAndReorderedSegmentsCountOnce) {
  Client client = connect();
  const Segment first = client.send(message(1));
  const Segment second = client.send(message(2) + pubrel_packet(1));
  const Segment third = client.send(message(3));

  send(first);
  send(first);
  send(third);
  EXPECT_EQ(open(client), 1) << "the second is missing";
  send(second);
  EXPECT_EQ(open(client), 2);
  send(second);
  send(third);

  EXPECT_EQ(open(client), 2);
}

TEST_F(Qos2Test, WhatAnEarlierConnectionBeganCountsAndWhatThisOneRepeatsDoesNot) {
  Client client = connect();
  send(client.send(pubrel_packet(7)));
  EXPECT_EQ(open(client), 0) << "of a message that was sent on an earlier connection";
  send(client.send(message(1, true)));
  EXPECT_EQ(open(client), 1) << "of an earlier connection";
  send(client.send(message(2)));
  EXPECT_EQ(open(client), 2);
  send(client.send(message(2, true)));
  EXPECT_EQ(open(client), 2) << "repeated";
  send(client.send(pubrel_packet(1) + pubrel_packet(2) + pubrel_packet(2)));
  EXPECT_EQ(open(client), 0);
  EXPECT_TRUE(can_end(client));
}

TEST_F(Qos2Test, AStreamThatWasBlindForAWhileIsNotSure) {
  Client client = connect();
  publish(client, "anything");
  send(client.send(Bytes(100, 0)));
  ASSERT_EQ(flow_of(client)->stream.blind, 1);
  publish(client, "anything");
  ASSERT_EQ(flow_of(client)->stream.blind, 0) << "judged again";

  EXPECT_EQ(open(client), QOS2_UNKNOWN);
  EXPECT_FALSE(can_end(client));
  send(client.send(pubrel_packet(1)));
  EXPECT_EQ(open(client), QOS2_UNKNOWN);
  evacuate(client, 0, FLOW_HURRIED);
  EXPECT_TRUE(send(client.ack()).is_marked());
}

TEST_F(Qos2Test, MoreThanCanBeCountedAreUnknown) {
  Client client = connect();
  flow entry = flow_of(client).value();
  entry.open_qos2 = QOS2_UNKNOWN - 1;
  chain_->flows().put(key_of(client), entry);

  send(client.send(message(1)));
  send(client.send(pubrel_packet(1)));

  EXPECT_EQ(open(client), QOS2_UNKNOWN);
}

}  // namespace
}  // namespace remora
