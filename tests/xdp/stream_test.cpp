// SPDX-License-Identifier: Apache-2.0
//
// The MQTT stream of a connection as TCP delivers it: split, repeated, with gaps; and streams that
// are not MQTT.
#include <algorithm>
#include <random>

#include "bpf/mqtt.h"
#include "tests/support/pieces.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class StreamTest : public SteerTest {
 protected:
  StreamTest() : SteerTest({.early_segments = 8192}) {}

  // Mispredicts are counted and recorded; no client is reset.
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

TEST_F(StreamTest, EveryCutOfAPublishIsJudged) {
  const Bytes first = publish_packet("cut/topic", "21.5", {.qos = 1, .packet_id = 3});
  const Bytes second = publish_packet(kTemperatureTopic, "m");
  std::uint16_t port = 40'000;
  for (std::size_t at = 1; at < first.size(); at++) {
    SCOPED_TRACE(at);
    Client client = connect({kClient.address, port++});
    const std::uint64_t seen = counter(COUNT_PUBLISH), judged = counter(COUNT_JUDGED);
    const std::vector<Piece> pieces = cut(first + second, 0, {at, first.size()});

    EXPECT_TRUE(send(client.send(pieces[0].bytes)).forwarded());
    EXPECT_TRUE(send(client.send(pieces[1].bytes)).forwarded());
    EXPECT_EQ(flow_of(client)->topic_hash, hash("cut/topic"));
    EXPECT_TRUE(send(client.send(pieces[2].bytes)).forwarded());

    EXPECT_EQ(counter(COUNT_PUBLISH), seen + 2);
    EXPECT_EQ(counter(COUNT_JUDGED), judged + 2);
    EXPECT_EQ(flow_of(client)->topic_hash, hash(kTemperatureTopic));
    EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
    EXPECT_FALSE(flow_of(client)->stream.blind);
  }
}

// The history gets the whole topic, however TCP cut it.
TEST_F(StreamTest, ATopicThatIsCutIsReportedWhole) {
  Client client = connect();
  const Bytes packet = publish_packet("a/topic/in/three/pieces");
  for (const Piece& piece : cut(packet, 0, {6, 15})) send(client.send(piece.bytes));

  const std::vector<Event> seen = events();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].topic(), "a/topic/in/three/pieces");
  EXPECT_EQ(seen[0].head.action, ACTION_LEARNED);
}

// Only the last of its segments can be withheld. The topic goes to the daemon in a separate
// record.
TEST_F(StreamTest, AMispredictWhoseTopicIsCutIsReset) {
  group(kTemperature);
  Client client = connect();
  const std::vector<Piece> pieces = cut(publish_packet(kTemperatureTopic), 0, {9});

  EXPECT_TRUE(send(client.send(pieces[0].bytes)).forwarded());
  const Outcome outcome = send(client.send(pieces[1].bytes));

  ASSERT_TRUE(outcome.is_marked());
  EXPECT_EQ(outcome.mark().flags, EVENT_SEGMENT | EVENT_BEGAN_EARLIER | EVENT_TOPIC_APART);
  EXPECT_EQ(outcome.mark().action, ACTION_RESET);
  EXPECT_EQ(outcome.mark().topic_len, 0);
  const std::vector<Event> seen = events();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].topic(), kTemperatureTopic);
  EXPECT_EQ(seen[0].head.action, ACTION_RESET);
  EXPECT_EQ(seen[0].head.flags, EVENT_TOPIC_APART);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

// A split topic that equals the flow's last is recognised by its hash, and not matched or
// reported again.
TEST_F(StreamTest, ACutTopicThatIsKnownIsNotMatchedAgain) {
  Client client = connect();
  publish(client, "known/topic");
  for (const Piece& piece : cut(publish_packet("known/topic"), 0, {8}))
    send(client.send(piece.bytes));

  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_EQ(counter(COUNT_JUDGED), 1u);
}

TEST_F(StreamTest, ACutTopicWhoseBeginningIsGoneIsNotJudged) {
  Client client = connect();
  const std::vector<Piece> pieces = cut(publish_packet(kTemperatureTopic), 0, {9});
  send(client.send(pieces[0].bytes));
  chain_->map<topic_key, topic_text>("topics").remove({key_of(client), 0, 0});

  EXPECT_TRUE(send(client.send(pieces[1].bytes)).forwarded());

  EXPECT_EQ(counter(COUNT_TOPIC_LOST), 1u);
  EXPECT_FALSE(prediction_of(kClient));
  publish(client, kTemperatureTopic);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature) << "in step";
}

TEST_F(StreamTest, AStreamOfSingleBytesIsFollowed) {
  Client client = connect();
  const Bytes stream = publish_packet("x", "m") + pingreq_packet() + publish_packet("y", "m");
  for (const std::uint8_t byte : stream) send(client.send({byte}));

  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
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
    EXPECT_EQ(flow_of(client)->edge, client.isn() + 1 + begin + size(stream));
  }
  EXPECT_EQ(counter(COUNT_EARLY), 0u);
}

TEST_F(StreamTest, SequenceNumbersMayWrapAround) {
  Client client = connect(kClient, 0xfffffff0);
  publish(client, "a");
  publish(client, "b");

  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_LT(client.next_seq(), client.isn());
  EXPECT_EQ(flow_of(client)->edge, client.next_seq());
  EXPECT_TRUE(send(client.fin()).forwarded());
  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
}

TEST_F(StreamTest, KeepAliveProbesAreHarmless) {
  Client client = connect();
  publish(client, "a");
  const auto before = flow_of(client);

  EXPECT_TRUE(send(client.ack().seq(client.next_seq() - 1)).forwarded());
  EXPECT_TRUE(send(client.at(client.sent() - 1, {0})).forwarded());

  EXPECT_EQ(flow_of(client)->stream.next, before->stream.next);
  EXPECT_EQ(flow_of(client)->edge, before->edge);
  EXPECT_FALSE(flow_of(client)->stream.blind);
}

TEST_F(StreamTest, ASegmentAheadOfAMissingOneIsForwardedAndJudgedWhenThatComes) {
  Client client = connect();
  const Segment first = client.send(publish_packet("a"));
  const Segment second = client.send(publish_packet("b") + pingreq_packet());
  const Segment third = client.send(publish_packet(kTemperatureTopic));

  EXPECT_TRUE(send(second).forwarded());
  EXPECT_TRUE(send(third).forwarded());
  EXPECT_EQ(counter(COUNT_EARLY), 2u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_TRUE(send(first).forwarded());

  EXPECT_EQ(counter(COUNT_PUBLISH), 3u);
  EXPECT_EQ(counter(COUNT_EARLY_JUDGED), 2u);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
  EXPECT_EQ(flow_of(client)->flags & FLOW_EARLY, 0);
  EXPECT_EQ(flow_of(client)->early, 0);
  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  EXPECT_EQ((chain_->map<early_key, early_segment>("early_segments").size()), 0u);
}

TEST_F(StreamTest, AShorterCopyOfAnEarlySegmentDoesNotTakeItsPlace) {
  Client client = connect();
  const Segment first = client.send(publish_packet("a"));
  const std::uint32_t begin = client.sent();
  const Bytes early = publish_packet("b") + publish_packet(kTemperatureTopic);
  send(client.send(early));
  send(client.at(begin, Bytes(early.begin(), early.begin() + 3)));

  send(first);

  EXPECT_EQ(counter(COUNT_PUBLISH), 3u);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

// The segment that closes the gap overlaps early ones: some senders repeat as much as fits.
TEST_F(StreamTest, ARepeatMayReachIntoAnEarlySegment) {
  const std::uint32_t begin = size(connect_packet());
  const Bytes stream =
      publish_packet("a") + publish_packet("b") + publish_packet(kTemperatureTopic);
  std::uint16_t port = 40'000;
  for (std::size_t early = 1; early < stream.size(); early++) {
    for (std::size_t end = early; end <= stream.size(); end++) {
      SCOPED_TRACE(testing::Message() << "early from " << early << ", repeated up to " << end);
      Client client = connect({kClient.address, port++});
      const std::uint64_t before = counter(COUNT_PUBLISH);

      send(segment_of(client, piece_of(stream, begin, early, stream.size())));
      send(segment_of(client, piece_of(stream, begin, 0, end)));

      ASSERT_EQ(counter(COUNT_PUBLISH), before + 3);
      ASSERT_EQ(flow_of(client)->topic_hash, hash(kTemperatureTopic));
      client.skip(size(stream));
      publish(client, "next");
      ASSERT_EQ(flow_of(client)->topic_hash, hash("next"));
    }
  }
}

// Two early segments contain the same part of a topic; the second one ends earlier.
TEST_F(StreamTest, AnEarlySegmentWithinAnotherTakesNothingFromACutTopic) {
  Client client = connect();
  const Segment first = client.send(publish_packet("a"));
  const std::uint32_t begin = client.sent();
  const Bytes packet = publish_packet(kTemperatureTopic);
  send(segment_of(client, piece_of(packet, begin, 0, 20)));
  send(segment_of(client, piece_of(packet, begin, 2, 12)));
  send(first);

  send(segment_of(client, piece_of(packet, begin, 20, packet.size())));

  EXPECT_EQ(counter(COUNT_TOPIC_LOST), 0u);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

// After a lost segment comes a window of full segments with small messages.
TEST_F(StreamTest, AllOfManyEarlySegmentsIsJudged) {
  Client client = connect(kClient, 1000, MqttVersion::k5);
  const Segment first = client.send(publish_packet("a", "m", {.properties = Bytes{0x01, 0x00}}));
  Bytes full;
  while (full.size() < 1390)
    full = full + publish_packet("b", "m", {.properties = Bytes{0x01, 0x00}});
  const std::uint64_t in_each = full.size() / (2 + 2 + 1 + 3 + 1);
  std::vector<Segment> refused;
  for (int i = 0; i < 400; i++) {
    const Segment segment = client.send(full);
    if (!send(segment).forwarded()) refused.push_back(segment);
  }

  // The first one is withheld until the waiting ones are judged; then the client repeats the rest.
  for (int i = 0; i < 100 && !send(first).forwarded(); i++) continue;
  for (const Segment& segment : refused) ASSERT_TRUE(send(segment).forwarded());

  EXPECT_EQ(counter(COUNT_PUBLISH), 400 * in_each + 1);
  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
}

// The broker cannot read past the gap: the segment that closes it is withheld.
TEST_F(StreamTest, AMispredictInAnEarlySegmentEndsTheConnectionBeforeTheBrokerReadsIt) {
  group(kTemperature);
  Client client = connect();
  const Segment first = client.send(publish_packet("a"));
  const Segment second = client.send(publish_packet(kTemperatureTopic));
  ASSERT_TRUE(send(second).forwarded());

  const Outcome outcome = send(first);

  ASSERT_TRUE(outcome.is_marked());
  EXPECT_EQ(outcome.mark().seq, first.first_seq());
  EXPECT_EQ(outcome.mark().flags, EVENT_SEGMENT | EVENT_BEGAN_EARLIER | EVENT_TOPIC_APART);
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
  const std::vector<Event> seen = events();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].topic(), "a");
  EXPECT_EQ(seen[1].topic(), kTemperatureTopic);
}

TEST_F(StreamTest, EveryOrderOfFourSegmentsIsExact) {
  const Bytes stream = publish_packet("a", "1") + publish_packet("b", std::string(90, 'm')) +
                       publish_packet("c", "3");
  std::vector<std::size_t> order{0, 1, 2, 3};
  std::uint16_t port = 40'000;
  do {
    for (const std::size_t shift : {0u, 1u, 2u, 3u, 4u, 5u}) {
      SCOPED_TRACE(testing::Message()
                   << order[0] << order[1] << order[2] << order[3] << " cut at " << shift);
      Client client = connect({kClient.address, port++});
      const std::uint64_t before = counter(COUNT_PUBLISH);
      const std::uint32_t begin = client.sent();
      const auto pieces = cut(stream, begin, {6 + shift, 20 + shift, 101 + shift});
      for (const std::size_t i : order)
        ASSERT_TRUE(send(segment_of(client, pieces[i])).forwarded());

      EXPECT_EQ(counter(COUNT_PUBLISH), before + 3);
      EXPECT_EQ(flow_of(client)->topic_hash, hash("c"));
      EXPECT_EQ(flow_of(client)->stream.next, client.isn() + 1 + begin + size(stream));
      EXPECT_EQ(flow_of(client)->flags & FLOW_EARLY, 0);
    }
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(counter(COUNT_BLIND), 0u);
}

TEST_F(StreamTest, AHoleInsideOneMessageIsForwarded) {
  Client client = connect();
  const Bytes message = publish_packet("big", std::string(3000, 'm'));
  const auto pieces = cut(message, client.sent(), {1000, 2000});
  send(segment_of(client, pieces[0]));

  EXPECT_TRUE(send(segment_of(client, pieces[2])).forwarded());
  EXPECT_TRUE(send(segment_of(client, pieces[1])).forwarded());

  EXPECT_EQ(counter(COUNT_EARLY), 0u);
  client.skip(size(message));
  publish(client, "next");
  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
}

TEST_F(StreamTest, AFinAheadOfAMissingSegmentIsForwarded) {
  Client client = connect();
  const Segment late = client.send(publish_packet(kTemperatureTopic));
  const Segment end = client.fin();

  EXPECT_TRUE(send(end).forwarded());
  EXPECT_TRUE(send(late).forwarded());

  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
}

// RFC 6093 §3: urgent data is part of the stream.
TEST_F(StreamTest, UrgentDataAreReadWhereTheyLie) {
  constexpr unsigned kUrgent = 32;
  Client client = connect();

  EXPECT_TRUE(send(client.send(publish_packet("a")).flags(Segment::kAck | kUrgent)).forwarded());
  publish(client, kTemperatureTopic);

  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

TEST_F(StreamTest, AFinMayCarryAPublish) {
  Client client = connect();

  EXPECT_TRUE(
      send(client.send(publish_packet(kTemperatureTopic)).flags(Segment::kFin | Segment::kAck))
          .forwarded());

  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
}

// The missing segment took another path. After a wait longer than a sender's before a repeat,
// judging resumes at a known topic.
TEST_F(StreamTest, AGapThatLastsTooLongIsGivenUp) {
  Client client = connect();
  publish(client, "known/topic");
  client.skip(100);
  EXPECT_TRUE(publish(client, "known/topic").forwarded());
  flow waiting = *flow_of(client);
  ASSERT_NE(waiting.flags & FLOW_EARLY, 0);
  waiting.gap_began -= GAP_PATIENCE + 1;
  chain_->flows().put(key_of(client), waiting);

  EXPECT_TRUE(publish(client, "known/topic").forwarded());

  EXPECT_EQ(counter(COUNT_RESYNCED), 1u);
  EXPECT_EQ(flow_of(client)->flags & FLOW_EARLY, 0);
  publish(client, kTemperatureTopic);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

// A client need not wait for the CONNACK (MQTT 3.1.1 §3.1.4), nor does a CONNECT have
// to fit into a segment.
TEST_F(StreamTest, WhatOvertakesTheConnectIsJudgedBehindIt) {
  const Bytes opening = connect_packet(MqttVersion::k311, std::string(40, 'c'));
  std::uint16_t port = 40'000;
  for (std::size_t at = 1; at <= opening.size(); at++) {
    SCOPED_TRACE(at);
    Client client({kClient.address, port++}, kService);
    send(client.syn());
    send(client.ack());
    std::vector<Segment> segments;
    for (const Piece& piece : cut(opening, 0, {at})) segments.push_back(client.send(piece.bytes));
    segments.push_back(client.send(publish_packet("a")));
    segments.push_back(client.send(publish_packet("b")));
    const std::uint64_t seen = counter(COUNT_PUBLISH);

    for (std::size_t i = 1; i < segments.size(); i++) EXPECT_TRUE(send(segments[i]).forwarded());
    EXPECT_EQ(counter(COUNT_PUBLISH), seen);
    EXPECT_TRUE(send(segments[0]).forwarded());

    EXPECT_EQ(counter(COUNT_PUBLISH), seen + 2);
    EXPECT_EQ(flow_of(client)->topic_hash, hash("b"));
    EXPECT_EQ(flow_of(client)->flags & FLOW_EARLY, 0);
  }
  EXPECT_EQ(counter(COUNT_NO_FLOW), 0u);
}

// Nothing is learned after a SYN alone: its sender may be at another address.
TEST_F(StreamTest, WhatComesWithoutAConnectTeachesNothing) {
  Client client(kClient, kService);
  send(client.syn());
  client.skip(20);

  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kDefault);
  EXPECT_EQ(send(client.at(1u << 21, publish_packet(kTemperatureTopic))).group(), kDefault);

  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_FALSE(flow_of(client));
  EXPECT_FALSE(prediction_of(kClient));
}

class BlindStreamTest : public StreamTest {
 protected:
  // A flow whose last topic is known/topic, and whose boundaries are lost. Bytes before the next
  // segment are missing for good.
  Client blind(MqttVersion version = MqttVersion::k311) {
    Client client = connect(kClient, 1000, version);
    if (version == MqttVersion::k5)
      send(client.send(publish_packet("known/topic", "m", {.properties = Bytes{}})));
    else
      publish(client, "known/topic");
    flow lost = *flow_of(client);
    lost.stream.blind = 1;
    lost.edge += 100;
    chain_->flows().put(key_of(client), lost);
    client.skip(100);
    return client;
  }
};

TEST_F(BlindStreamTest, AKnownTopicShowsTheWayBackIntoTheStream) {
  Client client = blind();
  publish(client, "another/topic");
  ASSERT_TRUE(flow_of(client)->stream.blind);

  publish(client, "known/topic");

  EXPECT_EQ(counter(COUNT_RESYNCED), 1u);
  EXPECT_FALSE(flow_of(client)->stream.blind);
  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  publish(client, kTemperatureTopic);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

TEST_F(BlindStreamTest, TheWayBackLeadsThroughProperties) {
  Client client = blind(MqttVersion::k5);

  send(client.send(publish_packet("known/topic", "m", {.properties = Bytes{0x01, 0x00}})));

  EXPECT_EQ(counter(COUNT_RESYNCED), 1u);
  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  EXPECT_NE(flow_of(client)->stream.flags & STREAM_MQTT5, 0);
}

// The broker has what was forwarded after the gap and acknowledges it selectively, so the client
// repeats only the rest. The stream is in step up to there: the segments after it were not kept.
TEST_F(BlindStreamTest, ARepeatedSegmentBringsBackAStreamUpToTheNextOne) {
  Client client = blind();
  const Segment lost = client.send(publish_packet("known/topic"));
  for (int i = 0; i < 10; i++) ASSERT_TRUE(publish(client, "new/topic").forwarded());

  ASSERT_TRUE(send(lost).forwarded());

  EXPECT_TRUE(flow_of(client)->stream.blind);
  EXPECT_EQ(flow_of(client)->edge, client.next_seq());
  EXPECT_TRUE(publish(client, "known/topic").forwarded());
  EXPECT_FALSE(flow_of(client)->stream.blind);
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

class AliasTest : public StreamTest {
 protected:
  Client connect5() { return connect(kClient, 1000, MqttVersion::k5); }

  Outcome publish_as(Client& client, std::string_view topic, std::uint8_t alias) {
    return send(client.send(aliased(topic, alias)));
  }

  static Bytes aliased(std::string_view topic, std::uint8_t alias) {
    return publish_packet(topic, "m", {.properties = Bytes{0x23, 0x00, alias}});
  }
};

TEST_F(AliasTest, AKnownAliasCountsAsItsTopic) {
  Client client = connect5();
  publish_as(client, "a", 1);
  publish_as(client, kTemperatureTopic, 2);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);

  publish_as(client, "", 1);
  EXPECT_EQ(prediction_of(kClient)->group, kDefault);
  EXPECT_EQ(flow_of(client)->topic_hash, hash("a"));
  publish_as(client, "", 2);

  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
  EXPECT_EQ(counter(COUNT_JUDGED), 4u);
  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 0u);
  const std::vector<Event> seen = events();
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[3].topic(), kTemperatureTopic);
}

TEST_F(AliasTest, AnAliasMayBeSetAnew) {
  Client client = connect5();
  publish_as(client, "a", 1);
  publish_as(client, kTemperatureTopic, 1);
  publish_as(client, "a", 2);

  publish_as(client, "", 1);

  EXPECT_EQ(flow_of(client)->topic_hash, hash(kTemperatureTopic));
}

TEST_F(AliasTest, AnAliasThatNobodySetTeachesNothing) {
  Client client = connect5();
  publish_as(client, "a", 1);

  EXPECT_TRUE(publish_as(client, "", 2).forwarded());

  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 1u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 2u);
  EXPECT_EQ(flow_of(client)->topic_hash, hash("a"));
  EXPECT_FALSE(flow_of(client)->stream.blind);
}

TEST_F(AliasTest, AliasesBelongToTheirConnection) {
  Client client = connect5();
  publish_as(client, kTemperatureTopic, 1);
  Client other = connect({kClient.address, 40'001}, 1000, MqttVersion::k5);

  publish_as(other, "", 1);

  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 1u);
}

// The port is used again, and `topics` has entries of its former connection.
TEST_F(AliasTest, AliasesEndWithTheirConnection) {
  Client former = connect5();
  publish_as(former, kTemperatureTopic, 1);
  send(former.fin());
  Client client = connect(kClient, 900'000, MqttVersion::k5);

  publish_as(client, "", 1);

  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 1u);
}

// While the stream was blind, the alias may have been given to another topic, as it was here.
TEST_F(AliasTest, AliasesFromBeforeTheStreamWasBlindCountNoMore) {
  Client client = connect5();
  publish_as(client, kTemperatureTopic, 1);
  publish_as(client, "known/topic", 2);
  flow lost = *flow_of(client);
  lost.stream.blind = 1;
  chain_->flows().put(key_of(client), lost);
  publish_as(client, "another/topic", 1);
  publish_as(client, "known/topic", 2);
  ASSERT_EQ(counter(COUNT_RESYNCED), 1u);

  publish_as(client, "", 1);

  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 1u);
  EXPECT_EQ(flow_of(client)->topic_hash, hash("known/topic"));
  publish_as(client, kHumidityTopic, 1);
  publish_as(client, "", 2);
  publish_as(client, "", 1);
  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 1u) << "those from behind it do";
  EXPECT_EQ(flow_of(client)->topic_hash, hash(kHumidityTopic));
}

TEST_F(AliasTest, AnAliasOfATopicThatIsLostHasNone) {
  Client client = connect5();
  publish_as(client, kTemperatureTopic, 1);
  publish_as(client, "a", 2);
  const std::vector<Piece> pieces = cut(aliased("another/topic", 1), 0, {9});
  send(client.send(pieces[0].bytes));
  chain_->map<topic_key, topic_text>("topics").remove({key_of(client), 0, 0});
  send(client.send(pieces[1].bytes));
  ASSERT_EQ(counter(COUNT_TOPIC_LOST), 1u);

  publish_as(client, "", 1);

  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 1u);
  EXPECT_EQ(flow_of(client)->topic_hash, hash("a"));
}

// After a change of routes the topic of an alias belongs to another group.
TEST_F(AliasTest, AnAliasThatMispredictsIsReset) {
  group(kTemperature);
  Client client = connect5();
  publish_as(client, "other", 2);
  forget_routes();
  route("other", kTemperature);

  const Outcome outcome = send(client.send(pingreq_packet() + aliased("", 2)));

  ASSERT_TRUE(outcome.is_marked());
  EXPECT_EQ(outcome.mark().flags, EVENT_SEGMENT | EVENT_TOPIC_APART);
  EXPECT_EQ(outcome.mark().publish_offset, 2);
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
}

TEST_F(AliasTest, EveryCutOfAnAliasedPublishIsJudged) {
  const Bytes first = aliased(kTemperatureTopic, 3), second = aliased("", 3);
  std::uint16_t port = 40'000;
  for (std::size_t at = 1; at < first.size() + second.size(); at++) {
    SCOPED_TRACE(at);
    Client client = connect({kClient.address, port++}, 1000, MqttVersion::k5);
    const std::uint64_t judged = counter(COUNT_JUDGED), seen = counter(COUNT_PUBLISH);
    send(client.send(publish_packet("a", "m", {.properties = Bytes{}})));
    for (const Piece& piece : cut(first + second, 0, {at})) send(client.send(piece.bytes));

    EXPECT_EQ(counter(COUNT_PUBLISH), seen + 3);
    EXPECT_EQ(counter(COUNT_JUDGED), judged + 2);
    EXPECT_EQ(flow_of(client)->topic_hash, hash(kTemperatureTopic));
  }
  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 0u);
  EXPECT_EQ(counter(COUNT_TOPIC_LOST), 0u);
}

TEST_F(StreamTest, TopicsUpToTheKernelsReachAreJudged) {
  for (const std::size_t length : {1400u, 1500u, unsigned{MAX_TOPIC}}) {
    Client client = connect({kClient.address, static_cast<std::uint16_t>(length)});
    const std::string topic(length, 'x');

    for (const Piece& piece : cut(publish_packet(topic), 0, {1000})) send(client.send(piece.bytes));

    EXPECT_EQ(prediction_of(kClient)->topic_hash, hash(topic));
    EXPECT_EQ(flow_of(client)->topic_hash, hash(topic));
  }
  EXPECT_EQ(counter(COUNT_TOPIC_LEFT), 0u);
}

// The pieces of a longer topic go to the daemon, which assembles them.
TEST_F(StreamTest, ATopicBeyondTheKernelsReachIsLeftToTheDaemon) {
  for (const std::size_t length : {MAX_TOPIC + 1u, 5000u, 65'535u}) {
    Client client = connect({kClient.address, static_cast<std::uint16_t>(length)});
    std::string topic;
    while (topic.size() < length) topic += "level" + std::to_string(topic.size()) + "/";
    topic.resize(length);
    const Bytes stream = publish_packet(topic) + publish_packet(kTemperatureTopic);
    const std::uint32_t topic_seq =
        client.next_seq() + size(publish_packet(topic)) - static_cast<std::uint32_t>(length) - 1;
    const std::uint64_t left = counter(COUNT_TOPIC_LEFT);
    std::vector<std::size_t> cuts;
    for (std::size_t at = 3; at < stream.size(); at += 1400) cuts.push_back(at);
    events();

    std::string whole(length, '?');
    std::size_t pieces = 0;
    for (const Piece& piece : cut(stream, 0, cuts)) {
      EXPECT_TRUE(send(client.send(piece.bytes)).forwarded());
      for (const Event& event : events()) {
        if (event.head.action != ACTION_PIECE) continue;
        pieces++;
        EXPECT_EQ(event.head.seq, topic_seq);
        EXPECT_EQ(event.head.topic_len, length);
        ASSERT_LE(event.head.topic_offset + event.data.size(), length);
        whole.replace(event.head.topic_offset, event.data.size(), event.data);
      }
    }

    EXPECT_EQ(whole, topic);
    EXPECT_EQ(pieces, (length + 1399) / 1400);
    EXPECT_EQ(counter(COUNT_TOPIC_LEFT), left + 1);
    EXPECT_EQ(flow_of(client)->topic_hash, hash(kTemperatureTopic)) << "in step";
  }
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
      Client client =
          connect({kClient.address, port++}, 1000, version5 ? MqttVersion::k5 : MqttVersion::k311);
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

  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  EXPECT_EQ(counter(COUNT_MALFORMED), 0u);
}

}  // namespace
}  // namespace remora
