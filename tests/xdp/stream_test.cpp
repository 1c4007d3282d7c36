// SPDX-License-Identifier: Apache-2.0
//
// The MQTT stream of a connection as TCP delivers it: cut, repeated, with holes, or
// no MQTT at all.
#include <random>

#include "bpf/mqtt.h"
#include "tests/support/pieces.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class StreamTest : public SteerTest {
 protected:
  // Mispredicts are counted and recorded, nobody is reset.
  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    for (const std::uint16_t number : {kDefault, kTemperature, kHumidity})
      group(number, 1, POLICY_KEEP);
  }

  Segment segment_of(const Client& client, const Piece& piece) {
    return client.at(piece.seq, piece.bytes);
  }
};

std::uint32_t size(const Bytes& bytes) {
  return static_cast<std::uint32_t>(bytes.size());
}

TEST_F(StreamTest, EveryCutOfAPublishIsInStepAfterwards) {
  const Bytes first = publish_packet("cut/topic", "21.5", {.qos = 1, .packet_id = 3});
  const Bytes second = publish_packet(kTemperatureTopic, "m");
  // Header and topic: 2 + 2 + 9 bytes. The first four may be cut off and kept.
  const std::size_t header = 4, topic_end = 13;
  std::uint16_t port = 40'000;
  for (std::size_t at = 1; at < first.size(); at++) {
    SCOPED_TRACE(at);
    Client client = connect({kClient.address, port++});
    const std::uint64_t seen = counter(COUNT_PUBLISH), judged = counter(COUNT_JUDGED),
                        cut_topics = counter(COUNT_TOPIC_CUT);

    for (const Piece& piece : cut(first + second, 0, {at, first.size()}))
      EXPECT_TRUE(send(client.send(piece.bytes)).forwarded());

    const bool topic_is_cut = at >= header && at < topic_end;
    EXPECT_EQ(counter(COUNT_PUBLISH), seen + 2);
    EXPECT_EQ(counter(COUNT_JUDGED), judged + (topic_is_cut ? 1 : 2));
    EXPECT_EQ(counter(COUNT_TOPIC_CUT), cut_topics + (topic_is_cut ? 1 : 0));
    EXPECT_EQ(flow_of(client)->topic_hash, hash(kTemperatureTopic));
    EXPECT_EQ(flow_of(client)->stream.next_packet, client.next_seq());
    EXPECT_FALSE(flow_of(client)->stream.blind);
  }
}

TEST_F(StreamTest, AStreamOfSingleBytesIsFollowed) {
  Client client = connect();
  const Bytes stream = publish_packet("x", "m") + pingreq_packet() + publish_packet("y", "m");
  for (const std::uint8_t byte : stream) send(client.send({byte}));

  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_EQ(flow_of(client)->stream.next_packet, client.next_seq());
}

TEST_F(StreamTest, AllPacketsOfASegmentAreWalked) {
  Client client = connect();
  Bytes segment;
  for (int i = 0; i < 600; i++) segment = segment + pingreq_packet();
  segment = segment + publish_packet(kTemperatureTopic, "m");

  send(client.send(segment));

  EXPECT_EQ(counter(COUNT_PUBLISH), 1u);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

TEST_F(StreamTest, AMessageOverManySegmentsIsFollowed) {
  Client client = connect();
  const Bytes stream = publish_packet("big", std::string(20'000, 'm')) + publish_packet("next");
  std::mt19937 random(1);
  for (const Piece& piece : cut_at_random(stream, 0, 1400, random)) send(client.send(piece.bytes));

  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_EQ(flow_of(client)->topic_hash, hash("next"));
}

TEST_F(StreamTest, RepeatedAndOverlappingSegmentsAreJudgedOnce) {
  for (std::uint32_t seed = 1; seed <= 20; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto port = static_cast<std::uint16_t>(41'000 + seed);
    Client client = connect({kClient.address, port}, static_cast<std::uint32_t>(random()));
    Bytes stream;
    for (int i = 0; i < 40; i++)
      stream = stream + publish_packet("t", std::string(random() % 300, 'm')) + pingreq_packet();
    const std::uint64_t before = counter(COUNT_PUBLISH);
    const std::uint32_t begin = client.sent();

    for (const Piece& piece : with_repeats(stream, begin, 700, random))
      ASSERT_TRUE(send(segment_of(client, piece)).forwarded());

    EXPECT_EQ(counter(COUNT_PUBLISH), before + 40);
    EXPECT_EQ(flow_of(client)->end_seq, client.isn() + 1 + begin + size(stream));
  }
  EXPECT_EQ(counter(COUNT_HOLE), 0u);
}

TEST_F(StreamTest, SequenceNumbersMayWrapAround) {
  Client client = connect(kClient, 0xfffffff0);
  publish(client, "a");
  publish(client, "b");

  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_LT(client.next_seq(), client.isn());
  EXPECT_EQ(flow_of(client)->end_seq, client.next_seq());
  EXPECT_TRUE(send(client.fin()).forwarded());
  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
}

TEST_F(StreamTest, KeepAliveProbesAreHarmless) {
  Client client = connect();
  publish(client, "a");
  const auto before = flow_of(client);

  EXPECT_TRUE(send(client.ack().seq(client.next_seq() - 1)).forwarded());
  EXPECT_TRUE(send(client.at(client.sent() - 1, {0})).forwarded());

  EXPECT_EQ(flow_of(client)->stream.next_packet, before->stream.next_packet);
  EXPECT_EQ(flow_of(client)->end_seq, before->end_seq);
  EXPECT_FALSE(flow_of(client)->stream.blind);
}

TEST_F(StreamTest, ASegmentBehindAHoleIsDroppedUntilTheHoleIsFilled) {
  Client client = connect();
  const Segment first = client.send(publish_packet("a"));
  const Segment second = client.send(publish_packet(kTemperatureTopic));

  EXPECT_TRUE(send(second).dropped());
  EXPECT_EQ(counter(COUNT_HOLE), 1u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_TRUE(send(first).forwarded());
  EXPECT_TRUE(send(second).forwarded());

  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_EQ(flow_of(client)->stream.holes, 0);
  EXPECT_EQ(flow_of(client)->end_seq, client.next_seq());
}

TEST_F(StreamTest, AHoleInsideOneMessageIsForwarded) {
  Client client = connect();
  const Bytes message = publish_packet("big", std::string(3000, 'm'));
  const auto pieces = cut(message, client.sent(), {1000, 2000});
  send(segment_of(client, pieces[0]));

  EXPECT_TRUE(send(segment_of(client, pieces[2])).forwarded());
  EXPECT_TRUE(send(segment_of(client, pieces[1])).forwarded());

  EXPECT_EQ(counter(COUNT_HOLE), 0u);
  client.skip(size(message));
  publish(client, "next");
  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
}

TEST_F(StreamTest, AFinBehindAHoleIsDropped) {
  Client client = connect();
  const Segment lost = client.send(publish_packet("a"));
  const Segment end = client.fin();

  EXPECT_TRUE(send(end).dropped());
  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);

  EXPECT_TRUE(send(lost).forwarded());
  EXPECT_TRUE(send(end).forwarded());
  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
}

TEST_F(StreamTest, AHoleThatIsNeverFilledEndsTheJudging) {
  Client client = connect();
  client.send(publish_packet("lost"));
  for (int i = 0; i < MAX_HOLES; i++)
    ASSERT_TRUE(send(client.at(client.sent(), publish_packet(kTemperatureTopic))).dropped()) << i;

  EXPECT_TRUE(publish(client, kTemperatureTopic).forwarded());

  EXPECT_TRUE(flow_of(client)->stream.blind);
  EXPECT_EQ(counter(COUNT_HOLE), MAX_HOLES);
  EXPECT_TRUE(publish(client, kTemperatureTopic).forwarded());
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_FALSE(prediction_of(kClient));
}

TEST_F(StreamTest, AKnownTopicShowsTheWayBackIntoTheStream) {
  Client client = connect();
  publish(client, "known/topic");
  client.skip(100);
  for (int i = 0; i <= MAX_HOLES; i++) send(client.at(client.sent(), publish_packet("unknown")));
  client.skip(size(publish_packet("unknown")));
  ASSERT_TRUE(flow_of(client)->stream.blind);
  publish(client, "another/topic");
  ASSERT_TRUE(flow_of(client)->stream.blind);

  publish(client, "known/topic");

  EXPECT_EQ(counter(COUNT_RESYNCED), 1u);
  EXPECT_FALSE(flow_of(client)->stream.blind);
  EXPECT_EQ(flow_of(client)->stream.next_packet, client.next_seq());
  publish(client, kTemperatureTopic);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

// A window larger than the holes we refuse, its first segment lost. The broker has
// what was forwarded behind the hole and acknowledges it selectively: the client
// repeats only the rest. What it sends next must not look like a new hole, which
// nobody would ever fill.
TEST_F(StreamTest, ARepeatedSegmentDoesNotBringBackAStreamWhoseEndWentBy) {
  Client client = connect();
  publish(client, "known/topic");
  const Segment lost = client.send(publish_packet("known/topic"));
  for (int i = 0; i < MAX_HOLES; i++) ASSERT_TRUE(publish(client, "known/topic").dropped());
  for (int i = 0; i < 10; i++) ASSERT_TRUE(publish(client, "new/topic").forwarded());

  ASSERT_TRUE(send(lost).forwarded());

  EXPECT_TRUE(publish(client, "known/topic").forwarded());
}

TEST_F(StreamTest, MalformedStreamsAreForwardedAndJudgedNoMore) {
  const struct {
    const char* what;
    Bytes bytes;
  } cases[] = {
      {"reserved type", {0x00, 0x00}},
      {"five length bytes", {0x30, 0xff, 0xff, 0xff, 0xff, 0x7f}},
      {"topic longer than the packet", {0x30, 0x04, 0x00, 0x09, 'a', 'b'}},
      {"no topic length", {0x30, 0x01, 0x00}},
      {"QoS 3", {0x36, 0x05, 0x00, 0x01, 'a', 0x00, 0x01}},
      {"HTTP", bytes_of(std::string("\0GET / HTTP/1.1\r\n\r\n", 19))},
  };
  std::uint16_t port = 40'000;
  std::uint64_t malformed = 0;
  for (const auto& [what, bytes] : cases) {
    Client client = connect({kClient.address, port++});

    EXPECT_TRUE(send(client.send(bytes)).forwarded()) << what;
    EXPECT_EQ(counter(COUNT_MALFORMED), ++malformed) << what;
    EXPECT_TRUE(flow_of(client)->stream.blind) << what;
    EXPECT_EQ(publish(client, kTemperatureTopic).group(), kDefault) << what;
  }
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_FALSE(prediction_of(kClient));
}

TEST_F(StreamTest, WhatStoodInFrontOfMalformedBytesIsJudged) {
  Client client = connect();

  send(client.send(publish_packet(kTemperatureTopic) + Bytes{0x00, 0x00}));

  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
  EXPECT_TRUE(flow_of(client)->stream.blind);
}

TEST_F(StreamTest, AnEmptyTopicWithAnAliasIsNotJudged) {
  Client client = connect();
  publish(client, "a");

  send(client.send(publish_packet("", "m", {.properties = Bytes{0x23, 0x00, 0x01}})));

  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 1u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_EQ(flow_of(client)->topic_hash, hash("a"));
  publish(client, kTemperatureTopic);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature) << "in step";
}

TEST_F(StreamTest, NoTopicOfOneFrameIsTooLongForTheKernel) {
  Client client = connect();
  const std::string longest(1400, 'x');

  publish(client, longest, "");

  EXPECT_EQ(counter(COUNT_TOPIC_TOO_LONG), 0u);
  EXPECT_EQ(prediction_of(kClient)->topic_hash, hash(longest));
}

TEST_F(StreamTest, ATopicBeyondTheKernelsReachIsNotJudged) {
  settings_.link_mtu = 3400;  // as far as BPF_PROG_TEST_RUN goes
  write(settings_);
  Client client = connect();

  publish(client, std::string(MAX_TOPIC, 'x'));
  EXPECT_EQ(counter(COUNT_TOPIC_TOO_LONG), 0u);
  EXPECT_EQ(counter(COUNT_JUDGED), 1u);
  publish(client, std::string(MAX_TOPIC + 1, 'x'));

  EXPECT_EQ(counter(COUNT_TOPIC_TOO_LONG), 1u);
  EXPECT_EQ(counter(COUNT_JUDGED), 1u);
  publish(client, kTemperatureTopic);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature) << "in step";
}

TEST_F(StreamTest, InvalidTopicsTeachNothing) {
  Client client = connect();
  const std::string topics[] = {
      "a/+/b", "#", "a#", std::string("nul\0", 4), "12345678+", "measurements/temperature\x01#"};
  std::uint64_t invalid = 0;
  for (const std::string& topic : topics) {
    EXPECT_TRUE(publish(client, topic).forwarded());
    EXPECT_EQ(counter(COUNT_TOPIC_INVALID), ++invalid) << topic;
  }
  EXPECT_FALSE(prediction_of(kClient));
  EXPECT_EQ(counter(COUNT_JUDGED), 0u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
}

TEST_F(StreamTest, EveryQosAndVersionCarriesItsTopicAtTheSamePlace) {
  std::uint16_t port = 40'000;
  for (const int qos : {0, 1, 2}) {
    for (const bool version5 : {false, true}) {
      Client client = connect({kClient.address, port++});
      PublishOptions options{.qos = qos, .packet_id = 0xffff};
      if (version5) options.properties = Bytes{0x01, 0x01};
      send(client.send(publish_packet("qos/" + std::to_string(port), "m", options)));
      EXPECT_EQ(flow_of(client)->topic_hash, hash("qos/" + std::to_string(port)));
    }
  }
  EXPECT_EQ(counter(COUNT_JUDGED), 6u);
}

TEST_F(StreamTest, PaddingOfShortFramesIsNotMqtt) {
  Client client = connect();

  send(client.ack().padded_to(60));
  send(client.send(pingreq_packet()).padded_to(60));

  EXPECT_EQ(flow_of(client)->stream.next_packet, client.next_seq());
  EXPECT_EQ(counter(COUNT_MALFORMED), 0u);
}

}  // namespace
}  // namespace remora
