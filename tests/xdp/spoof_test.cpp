// SPDX-License-Identifier: Apache-2.0
//
// Blind spoofing: packets sent in a client's name by somebody who does not see the broker's answers
// do not end the client's connection, teach nothing, and do not make its stream be misread.
#include <random>

#include "bpf/mqtt.h"
#include "tests/support/blind_sender.h"
#include "tests/support/seeds.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

constexpr std::uint32_t kAck = Client::kAcknowledged;

class SpoofTest : public SteerTest {
 protected:
  SpoofTest() : SteerTest({.early_segments = 8192}) {}

  // A client of the default group, which publishes a topic of that group.
  Client victim() {
    Client client = connect();
    publish(client, "own/topic");
    return client;
  }

  static Segment forged(const Client& client, Segment segment, std::uint32_t seq) {
    return segment.from(client.self()).to(client.service()).seq(seq).acknowledging(kAck);
  }

  // Makes the flow look as if no packet had come for so long.
  void let_pass(const Client& client, std::uint32_t milliseconds) {
    flow later = *flow_of(client);
    later.gap_began -= milliseconds;
    chain_->flows().put(key_of(client), later);
  }

  // Expects that the connection works as before: each PUBLISH is read, and a mispredict is noticed.
  void expect_unharmed(Client& client) {
    ASSERT_TRUE(flow_of(client));
    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
    EXPECT_EQ(counts_of(client.self())->connections, 1u);
    EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
    for (int i = 0; i < 10; i++) ASSERT_TRUE(publish(client, "own/topic").forwarded());
    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
    EXPECT_FALSE(flow_of(client)->stream.blind);
    EXPECT_EQ(flow_of(client)->edge, client.next_seq());
    EXPECT_EQ(prediction_of(client.self())->group, kDefault);
    EXPECT_TRUE(publish(client, kTemperatureTopic).is_marked());
    EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
  }
};

TEST_F(SpoofTest, FinsAllOverTheNumbersCloseNothing) {
  Client client = victim();

  for (std::uint32_t i = 0; i < 256; i++) send(forged(client, fin(), i << 24));

  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(counter(COUNT_CLOSED), 0u);
  expect_unharmed(client);
}

// Sends the FINs twice, the second time so late that the LB has given up the gap before them.
TEST_F(SpoofTest, FinsBehindAGapThatIsGivenUpCloseNothing) {
  Client client = victim();
  for (std::uint32_t i = 0; i < 256; i++) send(forged(client, fin(), i << 24));
  let_pass(client, GAP_PATIENCE + 1);

  for (std::uint32_t i = 0; i < 256; i++) send(forged(client, fin(), i << 24));

  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  expect_unharmed(client);
}

TEST_F(SpoofTest, AFinAheadDiesWhenDataPassIt) {
  const std::uint32_t length =
      static_cast<std::uint32_t>(publish_packet("own/topic", "21.5").size());
  for (std::uint32_t ahead = 1; ahead <= 2 * length; ahead++) {
    SCOPED_TRACE(ahead);
    Client client = connect({kClient.address + ahead, 40'000});
    send(forged(client, fin(), client.next_seq() + ahead));

    for (int i = 0; i < 3; i++) ASSERT_TRUE(publish(client, "own/topic").forwarded());

    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
    EXPECT_EQ(counts_of(client.self())->connections, 1u);
    EXPECT_EQ(flow_of(client)->edge, client.next_seq());
    send(client.fin());
    EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
    EXPECT_EQ(counts_of(client.self())->connections, 0u);
  }
}

TEST_F(SpoofTest, ARepeatedSegmentMayBringTheFin) {
  Client client = victim();
  const std::uint32_t begin = client.sent();
  const Bytes last = publish_packet("own/topic");
  send(client.send(last));

  send(client.at(begin, last).flags(Segment::kFin | Segment::kAck));

  EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
}

TEST_F(SpoofTest, AFinAfterMissingBytesCountsWhenTheyHaveCome) {
  for (const bool with_data : {false, true}) {
    SCOPED_TRACE(with_data);
    Client client = connect({kClient.address, static_cast<std::uint16_t>(41'000 + with_data)});
    const Segment late = client.send(publish_packet("own/topic"));
    if (with_data)
      send(client.send(publish_packet("own/topic")).flags(Segment::kFin | Segment::kAck));
    else
      send(client.fin());
    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);

    send(late);

    EXPECT_EQ(flow_of(client)->state, FLOW_CLOSING);
  }
}

// The sled covers the next byte from any offset and has the client's acknowledgement number.
TEST_F(SpoofTest, ASledOverTheNextByteIsNotRead) {
  std::mt19937 random(1);
  Client client = victim();
  const BlindSender sender(client, kTemperatureTopic, random);

  for (std::uint32_t back = 1; back <= 180; back++) {
    const Outcome out = send(forged(client, data(sender.sled(180)), client.next_seq() - back));

    ASSERT_TRUE(out.forwarded());
    ASSERT_EQ(out.packet.inner().payload().size(), back) << "no new bytes";
    ASSERT_TRUE(out.packet.checksums_are_valid());
  }

  expect_unharmed(client);
}

// The forged segment lies ahead, in the middle of bytes that the client is about to send.
TEST_F(SpoofTest, AnEarlySegmentThatDiffersFromTheBytesThatComeIsNotRead) {
  std::mt19937 random(1);
  const Bytes own = publish_packet("own/topic", std::string(100, 'm'));
  for (std::uint32_t ahead = 1; ahead < own.size(); ahead++) {
    SCOPED_TRACE(ahead);
    Client client = connect({kClient.address + ahead, 40'000});
    const BlindSender sender(client, kTemperatureTopic, random);
    send(forged(client, data(sender.sled(180)), client.next_seq() + ahead));
    ASSERT_EQ(flow_of(client)->early, 1);

    ASSERT_TRUE(send(client.send(own)).forwarded());
    ASSERT_TRUE(send(client.send(own)).forwarded());

    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
    EXPECT_EQ(flow_of(client)->early, 0);
    EXPECT_FALSE(flow_of(client)->stream.blind);
    EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  }
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
}

// It covers early segments of the client, which has lost the one before them.
TEST_F(SpoofTest, AnEarlySegmentOfOtherBytesHidesNone) {
  std::mt19937 random(1);
  std::uint32_t clients = 0;
  const Bytes lost = publish_packet("own/topic", std::string(100, 'm'));
  for (const std::string_view topic : {std::string_view("own/topic"), kTemperatureTopic}) {
    for (std::uint32_t ahead = 1; ahead < lost.size(); ahead++) {
      SCOPED_TRACE(testing::Message() << topic << ", " << ahead << " bytes ahead");
      Client client = connect({kClient.address + clients++, 40'000});
      publish(client, "own/topic");
      const BlindSender sender(client, "own/topic", random);
      send(forged(client, data(sender.sled(1000)), client.next_seq() + ahead));
      ASSERT_EQ(flow_of(client)->early, 1);
      const Segment first = client.send(lost), second = client.send(publish_packet(topic));
      const std::uint64_t doubted = counter(COUNT_DOUBTED);

      ASSERT_TRUE(send(second).dropped());
      ASSERT_EQ(counter(COUNT_DOUBTED), doubted + 1);
      ASSERT_TRUE(send(first).forwarded());
      const Outcome out = send(second);  // what was dropped comes again

      EXPECT_EQ(out.is_marked(), topic == kTemperatureTopic);
      EXPECT_FALSE(flow_of(client)->stream.blind);
      if (out.forwarded()) {
        EXPECT_EQ(flow_of(client)->early, 0);
        EXPECT_EQ(flow_of(client)->edge, client.next_seq());
      }
    }
  }
}

// The same bytes once more, in other segments.
TEST_F(SpoofTest, AnEarlySegmentMayRepeatPartOfAnother) {
  const Bytes early =
      publish_packet("own/topic", std::string(100, 'm')) + publish_packet(kTemperatureTopic);
  for (std::uint32_t begin = 0; begin < early.size(); begin++) {
    SCOPED_TRACE(begin);
    Client client = connect({kClient.address + begin, 40'000});
    const Segment lost = client.send(publish_packet("own/topic"));
    const std::uint32_t from = client.sent();
    ASSERT_TRUE(send(client.send(early)).forwarded());

    ASSERT_TRUE(
        send(client.at(from + begin, Bytes(early.begin() + begin, early.end()))).forwarded());

    EXPECT_TRUE(send(lost).is_marked());
  }
  EXPECT_EQ(counter(COUNT_DOUBTED), 0u);
}

TEST_F(SpoofTest, WhatAcknowledgesAnyNumberIsNoEarlySegment) {
  Client client = victim();
  for (const std::uint32_t off : {1u << 19, 1u << 24, 1u << 31, 0u - 1u, 0u - (1u << 20)}) {
    const Segment segment =
        forged(client, data(publish_packet(kTemperatureTopic)), client.next_seq() + 20)
            .acknowledging(kAck + off);
    EXPECT_TRUE(send(segment).dropped()) << off;
  }

  EXPECT_EQ(counter(COUNT_DOUBTED), 5u);
  expect_unharmed(client);
}

// The segment lies exactly at the next byte: the sender has guessed 32 bits.
class WrongAckTest : public SpoofTest {
 protected:
  // As if the victim's last segment had come in the clock's tick before this one.
  void let_a_tick_pass(const Client& client) {
    flow earlier = *flow_of(client);
    earlier.seen_at_ns -= 4'000'000;
    chain_->flows().put(key_of(client), earlier);
  }

  static Segment wrong(const Client& client, Segment segment, std::uint32_t seq) {
    return forged(client, segment, seq).acknowledging(kAck + (1u << 30));
  }

  void expect_nothing_taught(const Client& client) {
    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
    EXPECT_EQ(prediction_of(kClient)->group, kDefault);
    EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  }
};

TEST_F(WrongAckTest, APublishTeachesAndCondemnsNothing) {
  Client client = victim();

  EXPECT_TRUE(
      send(wrong(client, data(publish_packet(kTemperatureTopic)), client.next_seq())).forwarded());

  expect_nothing_taught(client);
  EXPECT_EQ(counter(COUNT_BLIND), 1u);
}

// Once in a tick of the clock a segment's acknowledgement is noted before its payload is judged.
TEST_F(WrongAckTest, NorDoesTheFirstOneOfATick) {
  Client client = victim();
  let_a_tick_pass(client);

  EXPECT_TRUE(
      send(wrong(client, data(publish_packet(kTemperatureTopic)), client.next_seq())).forwarded());

  expect_nothing_taught(client);
  EXPECT_EQ(counter(COUNT_BLIND), 1u);
}

TEST_F(WrongAckTest, AnAckWithoutPayloadPreparesNothing) {
  Client client = victim();
  for (int i = 0; i < 3; i++) {
    let_a_tick_pass(client);
    EXPECT_TRUE(send(wrong(client, ack(), client.next_seq())).forwarded());
  }

  send(wrong(client, data(publish_packet(kTemperatureTopic)), client.next_seq()));

  expect_nothing_taught(client);
}

// The first one makes the stream blind; it must not make the second one credible, which brings the
// stream back in step by the topic that the victim published last.
TEST_F(WrongAckTest, OneDoesNotMakeTheNextCredible) {
  Client client = victim();
  std::uint32_t seq = client.next_seq();

  const std::string_view own = "own/topic";
  for (const std::string_view topic : {own, own, kTemperatureTopic}) {
    const Bytes payload = publish_packet(topic);
    let_a_tick_pass(client);
    EXPECT_TRUE(send(wrong(client, data(payload), seq)).forwarded());
    seq += static_cast<std::uint32_t>(payload.size());
  }

  expect_nothing_taught(client);
}

TEST_F(WrongAckTest, WhatTheClientReadsIsFollowedAcrossGigabytes) {
  Client client = victim();
  std::uint32_t acknowledged = kAck;

  for (int i = 0; i < 100; i++) {
    acknowledged += 60u << 20;
    let_a_tick_pass(client);
    send(forged(client, ack(), client.next_seq()).acknowledging(acknowledged));
  }

  EXPECT_TRUE(
      send(client.send(publish_packet(kTemperatureTopic)).acknowledging(acknowledged)).is_marked());
}

class StampedTest : public SpoofTest {
 protected:
  static Bytes stamps(std::uint32_t echo, bool usual = true) {
    const Bytes option{8,
                       10,
                       0,
                       0,
                       1,
                       0,
                       static_cast<std::uint8_t>(echo >> 24),
                       static_cast<std::uint8_t>(echo >> 16),
                       static_cast<std::uint8_t>(echo >> 8),
                       static_cast<std::uint8_t>(echo)};
    const Bytes sack{5, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    return usual ? Bytes{1, 1} + option : Bytes{1} + sack + Bytes{1} + option;
  }

  // A new client, whose segments have these options.
  Client connect_with(const Bytes& options) {
    Client client({kClient.address + clients_++, 40'000}, kService);
    client.carry(options);
    client = open(client);
    send(client.send(publish_packet("own/topic")));
    return client;
  }

  // Whether a PUBLISH at the edge condemns the connection.
  bool condemns(Client& client, const Bytes& options) {
    return send(client.send(publish_packet(kTemperatureTopic)).options(options)).is_marked();
  }

 private:
  std::uint32_t clients_ = 0;
};

TEST_F(StampedTest, TimestampsCountOnlyWhereTheFlowShowedThem) {
  Client with = connect_with(stamps(77));
  EXPECT_FALSE(condemns(with, {}));
  with = connect_with(stamps(77));
  EXPECT_FALSE(condemns(with, stamps(0)));
  Client without = connect_with({});
  EXPECT_FALSE(condemns(without, stamps(77)));
}

TEST_F(StampedTest, TimestampsAreFoundAmongOtherOptions) {
  Client client = connect_with(stamps(77));
  EXPECT_TRUE(condemns(client, stamps(78, false)));
  client = connect_with(stamps(77, false));
  EXPECT_TRUE(condemns(client, stamps(79)));
}

TEST_F(SpoofTest, AGapThatIsForgedAndGivenUpIsForgottenWhenTheClientGoesOn) {
  Client client = victim();
  const std::uint32_t far = client.next_seq() + 100'000;
  send(forged(client, data(publish_packet("own/topic")), far));
  let_pass(client, GAP_PATIENCE + 1);
  send(forged(client, data(publish_packet("own/topic")), far + 1000));
  ASSERT_NE(flow_of(client)->edge, client.next_seq()) << "the forged place is taken";

  expect_unharmed(client);
}

TEST_F(SpoofTest, ASprayNearTheNextByteChangesNothing) {
  const auto [first, rounds] = seeds(3);
  for (std::uint32_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    Client client = connect({kClient.address + seed, 40'000}, static_cast<std::uint32_t>(random()));
    publish(client, "own/topic");
    BlindSender sender(client, kTemperatureTopic, random);
    for (int i = 0; i < 3000; i++) {
      send(sender.any_near(client.next_seq(), 2000));
      send(sender.repetition(client.next_seq()));
      if (i % 100 == 0) {
        ASSERT_TRUE(publish(client, "own/topic").forwarded());
      }
    }

    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
    EXPECT_FALSE(flow_of(client)->stream.blind);
    EXPECT_EQ(flow_of(client)->edge, client.next_seq());
    EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  }
}

// ---- ports that are used again ------------------------------------------------

class PortTest : public SpoofTest {
 protected:
  Client condemned() {
    Client client = connect();
    EXPECT_TRUE(publish(client, kTemperatureTopic).is_marked());
    EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
    return client;
  }

  // A connection that its client closes without data.
  void probe(std::uint32_t isn) {
    Client client(kClient, kService, isn);
    const std::uint32_t real = send(client.syn()).real();
    for (const Segment& segment : {client.ack(), client.fin(), client.ack()}) {
      const Outcome out = send(segment);
      ASSERT_TRUE(out.forwarded());
      EXPECT_EQ(out.real(), real);
    }
  }

  void expect_served(std::uint32_t isn, std::uint16_t group, std::string_view topic) {
    Client client(kClient, kService, isn);
    EXPECT_EQ(send_syn_and_answer(client).group(), group);
    EXPECT_EQ(send(client.ack()).group(), group);
    EXPECT_EQ(send(client.send(connect_packet())).group(), group);
    const std::uint64_t seen = counter(COUNT_PUBLISH);
    EXPECT_EQ(publish(client, topic).group(), group);
    EXPECT_EQ(counter(COUNT_PUBLISH), seen + 1);
    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
    EXPECT_EQ(flow_of(client)->edge, client.next_seq());
  }
};

TEST_F(PortTest, AProbeAfterAResetLeavesThePortOpen) {
  condemned();

  probe(50'000);

  expect_served(90'000, kTemperature, kTemperatureTopic);
}

TEST_F(PortTest, AProbeWithTheNumberOfTheConnectionLeavesThePortOpen) {
  condemned();

  probe(1000);

  expect_served(1000, kTemperature, kTemperatureTopic);
}

TEST_F(PortTest, ADeviceThatBeginsWithOneNumberIsServedAfterAReset) {
  condemned();

  expect_served(1000, kTemperature, kTemperatureTopic);
}

TEST_F(PortTest, ADeviceThatBeginsWithOneNumberIsServedAfterItsFin) {
  Client client = victim();
  send(client.fin());
  predict(kClient, kHumidity);

  expect_served(1000, kHumidity, kHumidityTopic);
}

// The device rebooted without ending its connection.
TEST_F(PortTest, ADeviceThatBeginsWithOneNumberIsNotTakenForItsOldConnection) {
  Client client = victim();
  for (int i = 0; i < 20; i++) publish(client, "own/topic");
  let_pass(client, 3000);
  predict(kClient, kHumidity);

  expect_served(1000, kHumidity, kHumidityTopic);
  EXPECT_EQ(counts_of(kClient)->connections, 1u);
}

// It does not answer the question whether it is there, or a NAT drops that. It begins with the same
// number, near it, or far away.
TEST_F(PortTest, ADeviceThatDoesNotAnswerIsServedBesideItsOldConnection) {
  for (const std::uint32_t isn : {1000u, 3000u, 1u << 20, 1u << 30, 0u - 1000u}) {
    SCOPED_TRACE(isn);
    const Peer device{kClient.address + isn % 97, static_cast<std::uint16_t>(30'000 + isn % 89)};
    Client old = connect(device);
    for (int i = 0; i < 20; i++) publish(old, "own/topic");
    let_pass(old, 3000);
    predict(device, kHumidity);
    const std::uint64_t seen = counter(COUNT_PUBLISH), resets = counter(COUNT_RESET);

    Client client(device, kService, isn);
    EXPECT_TRUE(is_question(send(client.syn())));
    EXPECT_EQ(send(client.syn()).group(), kHumidity);
    EXPECT_EQ(send(client.ack()).group(), kHumidity);
    EXPECT_EQ(send(client.send(connect_packet())).group(), kHumidity);
    for (int i = 0; i < 100; i++) {
      EXPECT_EQ(publish(client, kHumidityTopic, std::string(1000, 'm')).group(), kHumidity);
      EXPECT_EQ(send(client.ack()).group(), kHumidity);
    }

    EXPECT_EQ(counter(COUNT_PUBLISH), seen + 100);
    EXPECT_EQ(flow_of(old)->isn, old.isn());
    EXPECT_EQ(counts_of(device)->connections, 1u);
    EXPECT_TRUE(publish(client, kTemperatureTopic).is_marked());
    EXPECT_EQ(counter(COUNT_RESET), resets + 1);
    EXPECT_TRUE(send(client.ack()).is_rst());
    EXPECT_EQ(counts_of(device)->connections, 1u);
  }
}

// Each of its connections begins with the same number; the last one has ended.
TEST_F(PortTest, ADeviceBesideItsOldConnectionMayComeAgain) {
  victim();
  for (int i = 0; i < 3; i++) {
    Client client(kClient, kService, 1 << 30);
    EXPECT_TRUE(is_question(send(client.syn())));
    EXPECT_TRUE(send(client.syn()).forwarded());
    send(client.send(connect_packet()));
    EXPECT_TRUE(publish(client, "own/topic").forwarded());
    send(client.fin());
  }
  EXPECT_EQ(counter(COUNT_PUBLISH), 4u);
}

// Somebody opens a connection on the port of one that lives, and publishes to another group.
TEST_F(PortTest, AForgedConnectionMovesNoneThatLives) {
  Client client = victim();
  predict(kClient, kHumidity);
  for (std::uint32_t i = 0; i < 256; i++) {
    Client other(kClient, kService, i << 24);
    for (int repeated = 0; repeated < 2; repeated++) send(other.syn());
    send(other.ack());
    send(other.send(connect_packet()));
    for (int more = 0; more < 3; more++) publish(other, kHumidityTopic);

    ASSERT_EQ(publish(client, "own/topic").group(), kDefault);
    ASSERT_EQ(send(client.ack()).group(), kDefault);
  }

  EXPECT_EQ(flow_of(client)->isn, client.isn());
  EXPECT_EQ(flow_of(client)->edge, client.next_seq());
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  EXPECT_EQ(counts_of(kClient)->connections, 1u);
  EXPECT_TRUE(publish(client, kTemperatureTopic).is_marked());
  EXPECT_EQ(counts_of(kClient)->connections, 0u);
}

// In the way of the stream: the client's segments come to begin there.
TEST_F(PortTest, ForgedSynsAheadTakeNoSegment) {
  Client client = victim();
  predict(kClient, kHumidity);
  const auto length = static_cast<std::uint32_t>(publish_packet("own/topic", "21.5").size());
  for (std::uint32_t i = 1; i <= 4; i++) {
    Client other(kClient, kService, client.next_seq() + i * length - 1);
    for (int repeated = 0; repeated < 2; repeated++) send(other.syn());
    if (i % 2 == 0) send(other.send(connect_packet()));
  }

  for (int i = 0; i < 10; i++) ASSERT_EQ(publish(client, "own/topic").group(), kDefault);

  EXPECT_EQ(flow_of(client)->edge, client.next_seq());
}

TEST_F(PortTest, TextsOfTheOldConnectionAreNotThoseOfTheNew) {
  const Bytes old = publish_packet("a/topic/of/the/old/one"),
              now = publish_packet("b/topic/of/the/new/one");
  Client client = connect();
  send(client.send(Bytes(old.begin(), old.begin() + 12)));
  let_pass(client, 3000);
  Client again = connect_and_answer(kClient, client.isn());

  send(again.send(Bytes(now.begin(), now.begin() + 12)));
  send(again.send(Bytes(now.begin() + 12, now.end())));

  EXPECT_EQ(flow_of(again)->topic_hash, hash("b/topic/of/the/new/one"));
}

TEST_F(PortTest, WhatOvertakesTheConnectAfterAResetIsJudged) {
  condemned();
  Client client(kClient, kService, 50'000);
  ASSERT_EQ(send(client.syn()).group(), kTemperature);
  send(client.ack());
  const Segment opening = client.send(connect_packet());

  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kTemperature);
  EXPECT_EQ(send(opening).group(), kTemperature);

  EXPECT_EQ(flow_of(client)->topic_hash, hash(kTemperatureTopic));
}

TEST_F(PortTest, AStreamThatIsNotMqttIsForwardedAfterAReset) {
  condemned();
  Client client(kClient, kService, 50'000);
  send(client.syn());
  send(client.ack());

  for (int i = 0; i < 3; i++) EXPECT_EQ(send(client.send({0x16, 3, 1})).group(), kTemperature);
}

// Two brokers have a former connection of this port. The client's SYN reaches one of them, whose
// former connection has a number that the LB does not know.
TEST_F(PortTest, ARstGoesToTheBrokerThatIsRefused) {
  Client old = victim();
  send(old.fin());
  predict(kClient, kHumidity);
  const Client client(kClient, kService, 50'000);
  ASSERT_EQ(send(client.syn()).group(), kHumidity);

  EXPECT_EQ(send(client.rst().seq(0x12345678)).group(), kHumidity);
  EXPECT_EQ(send(client.rst().seq(old.next_seq())).group(), kDefault) << "that of the old one";
}

TEST_F(PortTest, ARstAfterAResetGoesToTheBrokerThatIsRefused) {
  condemned();
  const Client client(kClient, kService, 50'000);
  ASSERT_EQ(send(client.syn()).group(), kTemperature);

  const Outcome out = send(client.rst().seq(0x12345678));

  ASSERT_TRUE(out.forwarded());
  EXPECT_EQ(out.group(), kTemperature);
}

}  // namespace
}  // namespace remora
