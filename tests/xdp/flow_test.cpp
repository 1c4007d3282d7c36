// SPDX-License-Identifier: Apache-2.0
//
// Which group a packet goes to: the prediction decides for a SYN, the flow for everything after
// it.
#include <set>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class FlowTest : public SteerTest {};

TEST_F(FlowTest, SynOfAnUnknownClientGoesToTheDefaultGroup) {
  const Outcome out = send(Client(kClient, kService).syn());

  ASSERT_TRUE(out.forwarded());
  EXPECT_EQ(out.group(), kDefault);
  EXPECT_EQ(counter(COUNT_SYN), 1u);
  EXPECT_EQ(counter(COUNT_SYN_UNKNOWN), 1u);
  EXPECT_EQ(counter(COUNT_SYN_PREDICTED), 0u);
}

TEST_F(FlowTest, SynGoesToThePredictedGroup) {
  predict(kClient, kTemperature);

  const Outcome out = send(Client(kClient, kService).syn());

  EXPECT_EQ(out.group(), kTemperature);
  EXPECT_TRUE(out.packet.checksums_are_valid());
  EXPECT_EQ(counter(COUNT_SYN_PREDICTED), 1u);
  EXPECT_EQ(counter(COUNT_SYN_UNKNOWN), 0u);
}

TEST_F(FlowTest, APredictionIsForOneServiceAndOneAddress) {
  const Peer other_service{kService.address, 1884};
  service(other_service, kServiceNumber + 1, kHumidity);
  predict(kClient, kTemperature);

  EXPECT_EQ(send(Client(kClient, other_service).syn()).group(), kHumidity);
  EXPECT_EQ(send(Client({kClient.address + 1, 40'000}, kService).syn()).group(), kDefault);
  EXPECT_EQ(send(Client({kClient.address, 40'001}, kService).syn()).group(), kTemperature);
}

TEST_F(FlowTest, APredictionOfAGroupThatIsGoneIsNone) {
  predict(kClient, kNoGroupYet);

  EXPECT_EQ(send(Client(kClient, kService).syn()).group(), kDefault);
  EXPECT_EQ(counter(COUNT_SYN_UNKNOWN), 1u);
}

TEST_F(FlowTest, AFlowKnowsTheKeepaliveOfItsConnect) {
  const Bytes connect = connect_packet(MqttVersion::k311, "client", 0x1234);
  for (std::uint16_t cut = 1; cut <= connect.size(); cut++) {
    Client client({kClient.address, cut}, kService);
    send(client.syn());
    send(client.send({connect.begin(), connect.begin() + cut}));
    send(client.send(Bytes(connect.begin() + cut, connect.end()) + pingreq_packet()));
    EXPECT_EQ(flow_of(client)->keep_alive, 0x1234) << "cut at " << cut;
  }
}

TEST_F(FlowTest, ARetransmittedSynKeepsItsGroup) {
  const Client client(kClient, kService);
  ASSERT_EQ(send(client.syn()).group(), kDefault);
  predict(kClient, kTemperature);

  EXPECT_EQ(send(client.syn()).group(), kDefault);
  EXPECT_EQ(send(client.ack()).group(), kDefault);
}

// A late copy of the SYN comes when the connection is long established and its client has a
// prediction of another group.
TEST_F(FlowTest, ALateCopyOfTheSynDoesNotMoveTheConnection) {
  group(kTemperature, 1, POLICY_KEEP);
  Client client = connect();
  publish(client, kTemperatureTopic);
  ASSERT_EQ(prediction_of(kClient)->group, kTemperature);

  EXPECT_EQ(send(client.syn()).group(), kDefault);
  EXPECT_EQ(send(client.at(0, connect_packet())).group(), kDefault) << "CONNECT again";
  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kDefault);
}

// The time at which the client went on could be recorded a millisecond ahead of the copy.
TEST_F(FlowTest, ACopyOfTheSynRightAfterTheHandshakeKeepsItsGroup) {
  for (std::uint16_t port = 1; port <= 64; port++) {
    const Client client({kClient.address, port}, kService);
    predict(kClient, kTemperature);
    send(client.syn());
    send(client.ack());
    predict(kClient, kHumidity);

    ASSERT_EQ(send(client.syn()).group(), kTemperature) << "port " << port;
  }
}

TEST_F(FlowTest, HandshakeAndConnectEstablish) {
  Client client(kClient, kService);

  send(client.syn());
  EXPECT_TRUE(half_open_of(client));
  EXPECT_FALSE(flow_of(client));
  send(client.ack());
  EXPECT_FALSE(flow_of(client));
  send(client.send(connect_packet()));

  ASSERT_TRUE(flow_of(client));
  EXPECT_FALSE(half_open_of(client));
  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(flow_of(client)->group, kDefault);
  EXPECT_EQ(flow_of(client)->isn, client.isn());
  EXPECT_EQ(flow_of(client)->edge, client.next_seq());
  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  EXPECT_EQ(counts_of(kClient)->connections, 1u);
  EXPECT_EQ(counter(COUNT_ESTABLISHED), 1u);
  EXPECT_EQ(counter(COUNT_NO_FLOW), 0u);
}

TEST_F(FlowTest, EveryMqttVersionEstablishes) {
  std::uint16_t port = 40'000;
  for (const MqttVersion version : {MqttVersion::k31, MqttVersion::k311, MqttVersion::k5}) {
    Client client({kClient.address, port++}, kService);
    send(client.syn());
    send(client.send(connect_packet(version, "a-client")));
    ASSERT_TRUE(flow_of(client));
    EXPECT_FALSE(flow_of(client)->stream.blind);
  }
}

TEST_F(FlowTest, AConnectInTinyPiecesEstablishes) {
  Client client(kClient, kService);
  send(client.syn());
  for (const std::uint8_t byte : connect_packet()) send(client.send({byte}));
  publish(client, kTemperatureTopic);

  EXPECT_EQ(counter(COUNT_ESTABLISHED), 1u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 1u);
}

TEST_F(FlowTest, AConnectionKeepsItsGroupWhateverThePredictionSays) {
  predict(kClient, kTemperature);
  Client client = connect();
  predict(kClient, kHumidity);

  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kTemperature);
  EXPECT_EQ(send(client.ack()).group(), kTemperature);
  EXPECT_EQ(send(client.fin()).group(), kTemperature);
  EXPECT_EQ(send(client.ack()).group(), kTemperature);
}

TEST_F(FlowTest, AConnectionKeepsItsRealWhenTheRingChanges) {
  group(kDefault, 4);
  Client client(kClient, kService);
  const std::uint32_t real = send(client.syn()).real();
  const std::uint32_t other = (real & 0xff) == 1 ? 2 : 1;
  ring(kDefault, std::vector<std::uint32_t>(RING_SIZE, other));

  EXPECT_EQ(send(client.syn()).real(), real) << "a retransmitted SYN";
  EXPECT_EQ(send(client.ack()).real(), real);
  EXPECT_EQ(send(client.send(connect_packet())).real(), real);
  EXPECT_EQ(publish(client, "any").real(), real);
  EXPECT_EQ(send(client.fin()).real(), real);
  EXPECT_NE(send(Client({kClient.address, 41'000}, kService).syn()).real(), real);
}

TEST_F(FlowTest, ASynBesideALiveConnectionIsAConnectionOfItsOwn) {
  predict(kClient, kTemperature);
  Client client = connect();
  const auto before = flow_of(client);
  predict(kClient, kHumidity);

  Client other(kClient, kService, 900'000);
  const Outcome question = send(other.syn());
  ASSERT_TRUE(is_question(question));
  EXPECT_TRUE(send(answer_to(other, question)).dropped());
  EXPECT_EQ(send(other.syn()).group(), kHumidity);

  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kTemperature) << "the old one lives on";
  EXPECT_EQ(flow_of(client)->isn, before->isn);
  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(send(other.ack()).group(), kHumidity);
  EXPECT_EQ(send(other.send(connect_packet())).group(), kHumidity);
  EXPECT_EQ(flow_of(other)->isn, other.isn()) << "its CONNECT replaced the old one";
  EXPECT_EQ(counts_of(kClient)->connections, 1u);
}

TEST_F(FlowTest, WithoutAConnectAnOldConnectionIsNotReplaced) {
  Client client = connect();
  Client forged(kClient, kService, 900'000);
  send(forged.syn());
  send(forged.send(publish_packet(kHumidityTopic)));

  EXPECT_EQ(flow_of(client)->isn, client.isn());
  EXPECT_FALSE(prediction_of(kClient));
}

TEST_F(FlowTest, AStreamWithoutConnectTeachesNothing) {
  Client client(kClient, kService);
  send(client.syn());
  send(client.ack());

  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kDefault);
  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kDefault);

  EXPECT_FALSE(prediction_of(kClient));
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
}

// MQTT 3.1.1 §3.1: CONNECT comes first. Without one nothing is learned.
TEST_F(FlowTest, ARstDoesNotReplaceTheConnect) {
  Client client(kClient, kService);
  send(client.syn());
  send(client.rst());

  publish(client, kTemperatureTopic);

  EXPECT_FALSE(prediction_of(kClient));
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
}

TEST_F(FlowTest, WithoutAFlowThePredictionDecidesAndNothingIsJudged) {
  Client client(kClient, kService);
  EXPECT_EQ(send(client.send(publish_packet(kHumidityTopic))).group(), kDefault);
  predict(kClient, kTemperature);
  EXPECT_EQ(send(client.send(publish_packet(kHumidityTopic))).group(), kTemperature);

  EXPECT_EQ(counter(COUNT_NO_FLOW), 2u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

TEST_F(FlowTest, FinMeansClosing) {
  Client client = connect();

  const Outcome out = send(client.fin());

  EXPECT_TRUE(out.forwarded());
  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
  EXPECT_EQ(flow_of(client)->edge, client.next_seq() - 1) << "data may show that it was forged";
  EXPECT_EQ(counts_of(kClient)->connections, 0u);
  EXPECT_EQ(counter(COUNT_CLOSED), 1u);
  EXPECT_TRUE(send(client.ack()).forwarded()) << "the last ACKs still find their real";
  EXPECT_EQ(counter(COUNT_CLOSED), 1u);
}

TEST_F(FlowTest, FinWithTheLastBytesIsJudgedAndForwarded) {
  Client client = connect();
  Segment last = client.send(publish_packet("any") + disconnect_packet());

  EXPECT_TRUE(send(last.flags(Segment::kFin | Segment::kAck)).forwarded());

  EXPECT_EQ(counter(COUNT_PUBLISH), 1u);
  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
}

TEST_F(FlowTest, RstInSequenceMeansClosing) {
  Client client = connect();

  EXPECT_TRUE(send(client.rst()).forwarded());

  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
  EXPECT_EQ(counts_of(kClient)->connections, 0u);
}

TEST_F(FlowTest, RstOutOfSequenceIsIgnored) {
  Client client = connect();

  for (const std::uint32_t off : {1u, 1000u, 0u - 1u, 0x80000000u})
    EXPECT_TRUE(send(client.rst().seq(client.next_seq() + off)).forwarded()) << off;

  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(counter(COUNT_CLOSED), 0u);
}

// A client that never opened the connection answers the broker's SYN-ACK with a RST right after
// the forged SYN (RFC 9293 §3.10.7.3).
TEST_F(FlowTest, TheVictimsRstUndoesTheLesson) {
  Client forged = connect();
  publish(forged, "any/topic");
  ASSERT_TRUE(prediction_of(kClient));

  send(rst().from(kClient).to(kService).seq(forged.isn() + 1));

  EXPECT_EQ(prediction_of(kClient)->group, NO_GROUP);
  EXPECT_EQ(prediction_of(kClient)->topic_hash, 0u);
  EXPECT_EQ(flow_of(forged)->state, FLOW_CLOSING);
  EXPECT_EQ(counter(COUNT_UNLEARNED), 1u);
  publish(forged, kTemperatureTopic);
  EXPECT_EQ(prediction_of(kClient)->group, NO_GROUP) << "it teaches no more";
  EXPECT_EQ(send(Client({kClient.address, 41'000}, kService).syn()).group(), kDefault);
}

TEST_F(FlowTest, TheVictimsRstBringsTheEarlierPredictionBack) {
  predict(kClient, kTemperature, kTemperatureTopic);
  group(kHumidity, 1, POLICY_KEEP);
  Client forged = connect();
  publish(forged, kHumidityTopic);
  ASSERT_EQ(prediction_of(kClient)->group, kHumidity);

  send(rst().from(kClient).to(kService).seq(forged.isn() + 1));

  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

TEST_F(FlowTest, TheVictimsRstUndoesTheLessonOfACondemnedConnection) {
  Client forged = connect();
  ASSERT_TRUE(publish(forged, kHumidityTopic).is_marked());

  send(rst().from(kClient).to(kService).seq(forged.isn() + 1));

  EXPECT_EQ(prediction_of(kClient)->group, NO_GROUP);
}

TEST_F(FlowTest, AVictimUndoesOnlyWhatTheForgedConnectionTaught) {
  Client forged = connect();
  publish(forged, "any/topic");
  group(kHumidity, 1, POLICY_KEEP);
  Client own = connect({kClient.address, 41'000});
  publish(own, kHumidityTopic);
  ASSERT_EQ(prediction_of(kClient)->group, kHumidity);

  send(rst().from(kClient).to(kService).seq(forged.isn() + 1));

  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);
}

TEST_F(FlowTest, WhatIsOutOfReachDoesNotTouchTheBooks) {
  Client client = connect();
  const auto before = flow_of(client);

  EXPECT_TRUE(send(client.ack().seq(client.next_seq() + (1u << 28))).forwarded());
  EXPECT_TRUE(send(client.at(1u << 30, publish_packet(kHumidityTopic))).forwarded());
  EXPECT_TRUE(send(client.fin().seq(client.next_seq() - (1u << 28))).forwarded());

  EXPECT_EQ(flow_of(client)->edge, before->edge);
  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_EQ(counter(COUNT_EARLY), 0u);
}

TEST_F(FlowTest, AnInconsistentTcpHeaderGoesToTheFlowsGroup) {
  predict(kClient, kTemperature);
  Client client = connect();
  predict(kClient, kHumidity);

  for (const std::uint8_t words : std::initializer_list<std::uint8_t>{3, 15}) {
    Segment odd = client.at(client.sent(), publish_packet(kHumidityTopic));
    odd.claiming_data_offset(words);
    EXPECT_EQ(send(odd).group(), kTemperature) << int{words};
  }
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
}

}  // namespace
}  // namespace remora
