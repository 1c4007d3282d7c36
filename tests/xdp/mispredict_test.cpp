// SPDX-License-Identifier: Apache-2.0
//
// A PUBLISH whose topic belongs to another group: the mark for the probe, and how the connection
// is handled under each policy and limit.
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

std::uint16_t size16(const Bytes& bytes) {
  return static_cast<std::uint16_t>(bytes.size());
}

class MispredictTest : public SteerTest {
 protected:
  // A connection in the temperature group.
  Client temperature_client(std::uint16_t port = kClient.port) {
    predict(kClient, kTemperature);
    return connect({kClient.address, port});
  }
};

TEST_F(MispredictTest, TheSegmentIsPassedUpWithItsMark) {
  Client client = temperature_client();
  const Segment wrong = client.send(publish_packet(kHumidityTopic, "40"));

  const Outcome out = send(wrong);

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.packet.bytes(), wrong.frame()) << "the frame itself is untouched";
  const struct mark mark = out.mark();
  EXPECT_EQ(mark.magic, std::uint32_t{MARK_MAGIC});
  EXPECT_EQ(mark.seq, wrong.first_seq());
  EXPECT_EQ(mark.real, real_index(kTemperature, 1));
  EXPECT_EQ(mark.from_group, kTemperature);
  EXPECT_EQ(mark.to_group, kHumidity);
  EXPECT_EQ(mark.service, kServiceNumber);
  EXPECT_EQ(mark.publish_offset, 0);
  EXPECT_EQ(mark.topic_offset, 4);
  EXPECT_EQ(mark.topic_len, kHumidityTopic.size());
  EXPECT_EQ(mark.action, ACTION_RESET);
  EXPECT_EQ(mark.flags, EVENT_SEGMENT);
  EXPECT_EQ(mark.reason, 0);
  EXPECT_EQ(mark.isn, 0U);
}

TEST_F(MispredictTest, EverythingIsWrittenBeforeTheSegmentLeaves) {
  Client client = temperature_client();
  const auto before = flow_of(client);

  publish(client, kHumidityTopic);

  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);
  EXPECT_EQ(prediction_of(kClient)->topic_hash, hash(kHumidityTopic));
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
  EXPECT_EQ(flow_of(client)->edge, before->edge) << "the broker never got the segment";
  EXPECT_EQ(flow_of(client)->group, kTemperature);
  EXPECT_EQ(counts_of(kClient)->connections, 0u);
  EXPECT_EQ(counts_of(kClient)->resets, 1u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 1u);
  EXPECT_EQ(counter(COUNT_RESET), 1u);
  EXPECT_EQ(counter(COUNT_LEARNED), 1u);
  EXPECT_TRUE(events().empty()) << "the probe reports it, with the payload";
  EXPECT_EQ(send(Client({kClient.address, 41'000}, kService).syn()).group(), kHumidity);
}

TEST_F(MispredictTest, TheWrongOneAmongSeveralIsPointedAt) {
  Client client = temperature_client();
  const Bytes good = publish_packet(kTemperatureTopic, "21") + pingreq_packet();
  const Bytes wrong = publish_packet(kHumidityTopic, "40", {.qos = 1, .packet_id = 9});
  const Bytes behind = publish_packet(kTemperatureTopic, "22");

  const Outcome out = send(client.send(good + wrong + behind));

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.mark().publish_offset, good.size());
  EXPECT_EQ(out.mark().topic_offset, good.size() + 4);
  EXPECT_EQ(counter(COUNT_PUBLISH), 2u) << "the walk ended at the wrong one";
  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);
}

TEST_F(MispredictTest, APublishThatBeganEarlierSaysSo) {
  const Bytes wrong = publish_packet(kHumidityTopic, std::string(200, 'm'));
  const std::size_t header = 5;  // fixed header: one byte, length: two, topic length: two
  std::uint16_t port = 40'000;
  settings_.resets_per_client = 100;
  write(settings_);
  for (std::size_t kept = 1; kept < header; kept++) {
    SCOPED_TRACE(kept);
    Client client = temperature_client(port++);
    const auto at = static_cast<std::ptrdiff_t>(kept);
    EXPECT_TRUE(send(client.send(Bytes(wrong.begin(), wrong.begin() + at))).forwarded());

    const Outcome out = send(client.send(Bytes(wrong.begin() + at, wrong.end())));

    ASSERT_TRUE(out.is_marked());
    EXPECT_EQ(out.mark().flags, EVENT_SEGMENT | EVENT_BEGAN_EARLIER);
    EXPECT_EQ(out.mark().publish_offset, 0);
    EXPECT_EQ(out.mark().topic_offset, header - kept);
    EXPECT_EQ(out.mark().topic_len, kHumidityTopic.size());
  }
}

// The new bytes are cut off. The broker acknowledges the old ones, and the client goes on after
// them.
TEST_F(MispredictTest, NewBytesAfterRepeatedOnesAreJudgedInASegmentOfTheirOwn) {
  Client client = temperature_client();
  const Bytes good = publish_packet(kTemperatureTopic, "21");
  send(client.send(good));
  const Bytes wrong = publish_packet(kHumidityTopic, "40");

  const Outcome old = send(client.at(size16(connect_packet()), good + wrong));

  ASSERT_TRUE(old.forwarded());
  EXPECT_EQ(old.packet.inner().payload(), good);
  EXPECT_TRUE(old.packet.checksums_are_valid());
  EXPECT_EQ(counter(COUNT_CUT), 1u);
  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);

  const Outcome out = send(client.send(wrong));

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.mark().publish_offset, 0);
}

TEST_F(MispredictTest, TcpOptionsAreNoPartOfTheOffsets) {
  Client client = temperature_client();

  const Outcome out = send(client.send(publish_packet(kHumidityTopic)).options(Bytes(12, 1)));

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.mark().publish_offset, 0);
  EXPECT_EQ(out.mark().topic_offset, 4);
}

TEST_F(MispredictTest, PolicyKeepLeavesTheConnectionAndRecordsIt) {
  group(kHumidity, 1, POLICY_KEEP);
  Client client = temperature_client();

  EXPECT_EQ(publish(client, kHumidityTopic).group(), kTemperature);
  EXPECT_EQ(publish(client, kHumidityTopic).group(), kTemperature);

  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 1u);
  EXPECT_EQ(counter(COUNT_KEPT_POLICY), 1u);
  EXPECT_EQ(counter(COUNT_RESET), 0u);
  const auto records = events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].head.action, ACTION_KEPT);
  EXPECT_EQ(records[0].head.flags, 0);
  EXPECT_EQ(records[0].head.from_group, kTemperature);
  EXPECT_EQ(records[0].head.to_group, kHumidity);
  EXPECT_EQ(records[0].topic(), kHumidityTopic);
}

TEST_F(MispredictTest, PolicyDropSilencesTheConnection) {
  group(kHumidity, 1, POLICY_DROP);
  Client client = temperature_client();

  const Outcome out = publish(client, kHumidityTopic);

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.mark().action, ACTION_DROPPED);
  EXPECT_EQ(flow_of(client)->state, FLOW_DROPPED);
  EXPECT_EQ(counts_of(kClient)->connections, 0u);
  EXPECT_TRUE(publish(client, kTemperatureTopic).dropped());
  EXPECT_TRUE(send(client.ack()).dropped());
  EXPECT_EQ(counter(COUNT_DROPPED_POLICY), 1u);
  EXPECT_EQ(counter(COUNT_CONDEMNED_DROP), 2u);
  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);
}

// The policy of the group to which the PUBLISH belongs counts.
TEST_F(MispredictTest, ThePolicyIsThatOfTheTopicsGroup) {
  group(kTemperature, 1, POLICY_KEEP);
  Client client = temperature_client();

  EXPECT_TRUE(publish(client, kHumidityTopic).is_marked());
}

TEST_F(MispredictTest, EveryPacketOfACondemnedConnectionIsAnsweredWithARst) {
  Client client = temperature_client();
  publish(client, kHumidityTopic);

  for (std::uint32_t acknowledged : {Client::kAcknowledged, 0u, 0xffffffffu}) {
    const Outcome out =
        send(client.send(publish_packet(kHumidityTopic)).acknowledging(acknowledged));

    ASSERT_TRUE(out.is_rst());
    EXPECT_EQ(out.packet.bytes().size(), 54u);
    EXPECT_EQ(be32toh(out.packet.tcp().seq), acknowledged);  // RFC 5961 §3.2
    EXPECT_EQ(out.packet.tcp().ack_seq, 0u);
    EXPECT_FALSE(out.packet.tcp().ack);
    EXPECT_EQ(be16toh(out.packet.tcp().source), kService.port);
    EXPECT_EQ(be16toh(out.packet.tcp().dest), kClient.port);
    EXPECT_EQ(out.packet.source(), kService.address);
    EXPECT_EQ(out.packet.destination(), kClient.address);
    EXPECT_EQ(out.packet.destination_mac(), kGatewayMac);
    EXPECT_EQ(out.packet.source_mac(), kLbMac);
    EXPECT_TRUE(out.packet.checksums_are_valid());
  }
  EXPECT_EQ(counter(COUNT_CONDEMNED_RST), 3u);
}

TEST_F(MispredictTest, ThatHoldsForAcksFinsAndFullSegmentsToo) {
  Client client = temperature_client();
  publish(client, kHumidityTopic);

  EXPECT_TRUE(send(client.ack()).is_rst());
  EXPECT_TRUE(send(client.ack().options(Bytes(12, 1))).is_rst());
  EXPECT_TRUE(send(client.ack().padded_to(60)).is_rst());
  EXPECT_TRUE(send(client.at(0, Bytes(1400, 'x'))).is_rst());
  EXPECT_TRUE(send(client.fin()).is_rst());
}

// RFC 9293 §3.10.7.1: a RST is never answered; a segment without ACK has no acknowledgement
// number.
TEST_F(MispredictTest, ARstAndWhatAcknowledgesNothingAreDropped) {
  Client client = temperature_client();
  publish(client, kHumidityTopic);

  EXPECT_TRUE(send(client.rst()).dropped());
  EXPECT_TRUE(send(client.at(0, {1}).flags(Segment::kPsh)).dropped());

  EXPECT_EQ(counter(COUNT_CONDEMNED_DROP), 2u);
}

TEST_F(MispredictTest, AfterTheResetTheSamePortMayBeUsedAgain) {
  Client client = temperature_client();
  publish(client, kHumidityTopic);

  Client again(kClient, kService, 777'000);
  EXPECT_EQ(send(again.syn()).group(), kHumidity);
  EXPECT_EQ(send(again.ack()).group(), kHumidity);
  EXPECT_TRUE(send(client.ack()).is_rst()) << "the old one is still condemned";
  EXPECT_EQ(send(again.send(connect_packet())).group(), kHumidity);
  EXPECT_EQ(publish(again, kHumidityTopic).group(), kHumidity);
  EXPECT_EQ(counts_of(kClient)->connections, 1u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 1u);
}

TEST_F(MispredictTest, AboveResetsPerClientConnectionsAreKept) {
  settings_.resets_per_client = 2;
  write(settings_);
  std::uint16_t port = 40'000;
  for (int i = 0; i < 2; i++) {
    Client client = temperature_client(port++);
    ASSERT_TRUE(publish(client, kHumidityTopic).is_marked());
  }
  events();
  Client client = temperature_client(port);

  EXPECT_EQ(publish(client, kHumidityTopic).group(), kTemperature);

  EXPECT_EQ(counter(COUNT_RESET), 2u);
  EXPECT_EQ(counter(COUNT_KEPT_CLIENT), 1u);
  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);
  const auto records = events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].head.action, ACTION_KEPT);
  EXPECT_EQ(records[0].head.flags, EVENT_OVER_LIMIT);

  const Peer other{kClient.address + 1, 40'000};
  predict(other, kTemperature);
  Client another = connect(other);
  EXPECT_TRUE(publish(another, kHumidityTopic).is_marked()) << "others are not concerned";
}

TEST_F(MispredictTest, AKeptConnectionStaysKept) {
  settings_.resets_per_client = 0;
  write(settings_);
  Client client = temperature_client();
  EXPECT_TRUE(publish(client, kHumidityTopic).forwarded());

  settings_.resets_per_client = 100;
  write(settings_);
  for (int i = 0; i < 5; i++) {
    EXPECT_EQ(publish(client, kTemperatureTopic).group(), kTemperature);
    EXPECT_EQ(publish(client, kHumidityTopic).group(), kTemperature);
  }
  EXPECT_EQ(counter(COUNT_RESET), 0u);
}

TEST_F(MispredictTest, AboveResetsPerSecondConnectionsAreKeptForNow) {
  settings_.resets_per_second = 0;
  write(settings_);
  Client client = temperature_client();

  EXPECT_EQ(publish(client, kHumidityTopic).group(), kTemperature);
  EXPECT_EQ(counter(COUNT_KEPT_RATE), 1u);
  EXPECT_EQ(counts_of(kClient)->resets, 0u) << "not held against the client";
  const auto records = events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].head.flags, EVENT_OVER_LIMIT);

  // Fills the token bucket, as it is after a second without resets.
  settings_.resets_per_second = 1000;
  write(settings_);
  chain_->map<std::uint32_t, reset_budget>("reset_budget").put(0, {});
  EXPECT_TRUE(publish(client, kHumidityTopic).is_marked()) << "judged again";
}

TEST_F(MispredictTest, AMispredictInTheConnectSegmentIsMarkedToo) {
  predict(kClient, kTemperature);
  Client client(kClient, kService);
  send(client.syn());
  send(client.ack());

  const Outcome out = send(client.send(connect_packet() + publish_packet(kHumidityTopic)));

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.mark().publish_offset, connect_packet().size());
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
  EXPECT_EQ(counter(COUNT_ESTABLISHED), 1u);
  EXPECT_EQ(counts_of(kClient)->connections, 0u);
}

TEST_F(MispredictTest, AMispredictedSegmentWithAFinCountsTheConnectionOnce) {
  Client client = temperature_client();
  Segment wrong = client.send(publish_packet(kHumidityTopic));

  EXPECT_TRUE(send(wrong.flags(Segment::kFin | Segment::kAck)).is_marked());

  EXPECT_EQ(counts_of(kClient)->connections, 0u);
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
}

// A client changes its topic, is reset, and connects again.
TEST_F(MispredictTest, TheNextConnectionIsRight) {
  Client client = connect();
  ASSERT_TRUE(publish(client, kTemperatureTopic).is_marked());

  for (const std::uint16_t port : {40'001, 40'002}) {
    Client again = connect({kClient.address, port});
    EXPECT_EQ(publish(again, kTemperatureTopic).group(), kTemperature);
    EXPECT_EQ(publish(again, kTemperatureTopic).group(), kTemperature);
  }

  EXPECT_EQ(counter(COUNT_MISPREDICT), 1u);
  EXPECT_EQ(counter(COUNT_RESET), 1u);
  EXPECT_EQ(counter(COUNT_LEARNED), 1u);
  const auto records = events();
  ASSERT_EQ(records.size(), 1u) << "the stage does not know whether the probe's report arrived";
  EXPECT_EQ(records[0].head.action, ACTION_LEARNED);
}

}  // namespace
}  // namespace remora
