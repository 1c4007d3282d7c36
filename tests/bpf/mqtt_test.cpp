// SPDX-License-Identifier: Apache-2.0
//
// The packet walker against a plain reader of the whole stream: however TCP splits the stream,
// the same packets are found at the same places.
#include "bpf/mqtt.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/mqtt_packets.h"
#include "tests/support/pieces.h"
#include "tests/support/walker.h"

namespace remora {

void PrintTo(const Sighting& sighting, std::ostream* out) {
  *out << "packet at " << sighting.offset;
  if (sighting.topic) *out << ", topic '" << *sighting.topic << "', alias " << sighting.alias;
}

namespace {

constexpr std::uint32_t kStart = 1'000'000;

Bytes three_publishes() {
  return publish_packet("a", "") + publish_packet("room/b", "21.5", {.qos = 1, .packet_id = 7}) +
         publish_packet("c/d/e", std::string(200, 'x'));
}

// The same in MQTT 5, with properties of every kind that a client may send: payload
// format, expiry, content type, response topic, correlation data, user property.
Bytes three_publishes_with_properties() {
  const Bytes all{0x01, 1, 0x02, 0, 0,    0, 9, 0x03, 0, 1, 't', 0x08, 0, 2, 'r', 'e', 0x09,
                  0,    2, 0x23, 7, 0x26, 0, 1, 'k',  0, 1, 'v', 0x26, 0, 0, 0,   0};
  return connect_packet(MqttVersion::k5) + publish_packet("a", "", {.properties = Bytes{}}) +
         publish_packet("room/b", "21.5", {.qos = 2, .packet_id = 7, .properties = all}) +
         publish_packet("c/d/e", std::string(200, 'x'),
                        {.properties = all + Bytes{0x23, 0, 3} + all});
}

void expect_exact(const Bytes& stream, const std::vector<Piece>& pieces, std::uint32_t first_seq) {
  Walker walker(first_seq);
  for (const Piece& piece : pieces) ASSERT_NE(walker.feed(piece), WALK_HOLE);

  std::vector<Sighting> seen = walker.seen();
  for (Sighting& sighting : seen) sighting.alias = 0;
  EXPECT_EQ(seen, expected_sightings(stream));
  EXPECT_FALSE(walker.blind());
}

std::size_t pick(std::mt19937& random, std::size_t most) {
  return std::uniform_int_distribution<std::size_t>(0, most)(random);
}

Bytes random_session(std::mt19937& random) {
  const bool is_mqtt5 = pick(random, 1) == 1;
  Bytes stream = connect_packet(is_mqtt5 ? MqttVersion::k5 : MqttVersion::k31);
  for (std::size_t packets = pick(random, 12); packets > 0; packets--) {
    switch (pick(random, 5)) {
      case 0:
        stream = stream + pingreq_packet();
        break;
      case 1:
        stream = stream + puback_packet(static_cast<std::uint16_t>(pick(random, 65535)));
        break;
      case 2:
        stream = stream + subscribe_packet(3, "answers/#");
        break;
      default: {
        // Lengths around the places where the remaining length grows by a byte.
        constexpr std::size_t kMessages[] = {0, 1, 100, 127, 128, 300, 16'384, 20'000};
        PublishOptions options{.qos = static_cast<int>(pick(random, 2)), .packet_id = 9};
        if (is_mqtt5) options.properties = Bytes(2 * pick(random, 5), 0x01);
        stream = stream + publish_packet(std::string(pick(random, 30), 't'),
                                         std::string(kMessages[pick(random, 7)], 'm'), options);
      }
    }
  }
  return stream + disconnect_packet();
}

TEST(WalkerTest, FindsThePacketsOfOneSegment) {
  const Bytes stream = connect_packet() + pingreq_packet() + publish_packet("room/t", "20");
  Walker walker(kStart);

  walker.feed({kStart, stream});

  ASSERT_EQ(walker.seen().size(), 3u);
  EXPECT_FALSE(walker.seen()[0].topic);
  EXPECT_FALSE(walker.seen()[1].topic);
  EXPECT_EQ(walker.seen()[2].topic, "room/t");
  EXPECT_EQ(walker.state().next, kStart + stream.size());
}

TEST(WalkerTest, EveryCutIntoTwoSegmentsIsExact) {
  const Bytes stream = connect_packet() + three_publishes();
  for (std::size_t at = 1; at < stream.size(); at++) {
    SCOPED_TRACE(at);
    expect_exact(stream, cut(stream, kStart, {at}), kStart);
  }
}

TEST(WalkerTest, EveryCutIntoThreeSegmentsIsExact) {
  for (const Bytes& stream : {three_publishes(), three_publishes_with_properties()}) {
    for (std::size_t first = 1; first < stream.size(); first++) {
      for (std::size_t second = first + 1; second < stream.size(); second++) {
        SCOPED_TRACE(testing::Message() << first << " and " << second);
        expect_exact(stream, cut(stream, kStart, {first, second}), kStart);
      }
    }
  }
}

TEST(WalkerTest, ByteByByteIsExact) {
  for (const Bytes& session :
       {connect_packet(MqttVersion::k31) + three_publishes(), three_publishes_with_properties()}) {
    const Bytes stream = session + disconnect_packet();
    std::vector<std::size_t> everywhere;
    for (std::size_t at = 1; at < stream.size(); at++) everywhere.push_back(at);
    expect_exact(stream, cut(stream, kStart, everywhere), kStart);
  }
}

TEST(WalkerTest, SequenceNumbersMayWrapAround) {
  const Bytes stream = three_publishes();
  for (std::uint32_t before = 0; before <= stream.size(); before++) {
    SCOPED_TRACE(before);
    const std::uint32_t first_seq = 0u - before;
    expect_exact(stream, cut(stream, first_seq, {5, 20}), first_seq);
  }
}

TEST(WalkerTest, RandomSessionsInOrderAreExact) {
  for (std::uint32_t seed = 1; seed <= 500; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const Bytes stream = random_session(random);
    const auto first_seq = static_cast<std::uint32_t>(random());
    expect_exact(stream, cut_at_random(stream, first_seq, 1 + pick(random, 1447), random),
                 first_seq);
  }
}

TEST(WalkerTest, RandomSessionsWithRetransmissionsAreExact) {
  for (std::uint32_t seed = 1; seed <= 500; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const Bytes stream = random_session(random);
    const auto first_seq = static_cast<std::uint32_t>(random());
    expect_exact(stream, with_repeats(stream, first_seq, 1 + pick(random, 1447), random),
                 first_seq);
  }
}

TEST(WalkerTest, ABoundaryThatIsMissingIsAHole) {
  const Bytes stream = three_publishes();
  Walker walker(kStart);
  walker.feed(piece_of(stream, kStart, 0, 5));
  const auto before = walker.state();

  EXPECT_EQ(walker.feed(piece_of(stream, kStart, 8, 30)), WALK_HOLE);

  EXPECT_EQ(walker.state().next, before.next);
  EXPECT_EQ(walker.state().kept_len, before.kept_len);
  EXPECT_EQ(walker.feed(piece_of(stream, kStart, 5, stream.size())), WALK_HERE);
  EXPECT_EQ(walker.seen().size(), 3u);
}

TEST(WalkerTest, ReorderingInsideOnePacketIsNoHole) {
  const Bytes stream = publish_packet("t", std::string(5000, 'm')) + publish_packet("u", "m");
  Walker walker(kStart);
  walker.feed(piece_of(stream, kStart, 0, 1000));

  EXPECT_EQ(walker.feed(piece_of(stream, kStart, 3000, 4000)), WALK_NOTHING);
  EXPECT_EQ(walker.feed(piece_of(stream, kStart, 1000, 3000)), WALK_NOTHING);
  EXPECT_EQ(walker.feed(piece_of(stream, kStart, 4000, stream.size())), WALK_HERE);

  ASSERT_EQ(walker.seen().size(), 2u);
  EXPECT_EQ(walker.seen()[1].topic, "u");
}

TEST(WalkerTest, RepeatedBytesAreNothingNew) {
  const Bytes stream = three_publishes();
  Walker walker(kStart);
  walker.feed({kStart, stream});

  EXPECT_EQ(walker.feed({kStart, stream}), WALK_NOTHING);
  EXPECT_EQ(walker.feed(piece_of(stream, kStart, 3, 9)), WALK_NOTHING);

  EXPECT_EQ(walker.seen().size(), 3u);
}

TEST(WalkerTest, ThousandsOfTinyPacketsAreAllFound) {
  Bytes stream;
  for (int i = 0; i < 730; i++) stream = stream + pingreq_packet();
  expect_exact(stream, {{kStart, stream}}, kStart);
}

// MQTT 3.1.1 table 2.4 and the bytes around its edges.
TEST(VariableIntegerTest, DecodesEveryLengthOfTheStandardsTable) {
  const std::uint32_t lengths[] = {0,      1,         127,       128,        16'383,
                                   16'384, 2'097'151, 2'097'152, 268'435'455};
  for (const std::uint32_t length : lengths) {
    const Bytes header = fixed_header_bytes(0x30, length);
    std::uint32_t word = 0;
    for (std::size_t i = 1; i < header.size(); i++) word |= std::uint32_t{header[i]} << 8 * (i - 1);

    std::uint32_t remaining = 0;
    const auto size = static_cast<std::uint32_t>(header.size() - 1);
    EXPECT_EQ(variable_integer(word, size, &remaining), static_cast<int>(size));
    EXPECT_EQ(remaining, length);
    for (std::uint32_t count = 0; count < size; count++)
      EXPECT_EQ(variable_integer(word, count, &remaining), 0) << length << " in " << count;
  }
}

TEST(VariableIntegerTest, AFifthByteIsMalformed) {
  std::uint32_t value = 0;
  EXPECT_EQ(variable_integer(0xffffffff, 4, &value), -1);
  EXPECT_EQ(variable_integer(0xffffffff, 8, &value), -1);
  EXPECT_EQ(variable_integer(0xffffffff, 3, &value), 0);
}

TEST(WalkerTest, MalformedStreamsGoBlind) {
  const struct {
    const char* what;
    Bytes bytes;
  } cases[] = {
      {"reserved type 0", {0x00, 0x00}},
      {"reserved type 0 with flags", {0x0f, 0x02, 'a', 'b'}},
      {"remaining length of five bytes", {0x30, 0xff, 0xff, 0xff, 0xff, 0x01}},
      {"PUBLISH without a topic length", {0x30, 0x00}},
      {"PUBLISH with half a topic length", {0x30, 0x01, 0x00}},
      {"topic longer than its packet", {0x30, 0x03, 0x00, 0x02, 'a'}},
      {"topic of 65535 bytes in a short packet", {0x30, 0x7f, 0xff, 0xff, 'a'}},
      {"QoS 3", {0x36, 0x05, 0x00, 0x01, 'a', 0x00, 0x01}},
      {"QoS 1 without room for a packet identifier", {0x32, 0x03, 0x00, 0x01, 'a'}},
  };
  for (const auto& [what, bytes] : cases) {
    EXPECT_TRUE(read_stream(bytes).malformed) << what;
    for (std::size_t at = 0; at < bytes.size(); at++) {
      Walker walker(kStart);
      for (const Piece& piece : cut(bytes, kStart, {at})) walker.feed(piece);
      EXPECT_TRUE(walker.blind()) << what << ", cut at " << at;
      EXPECT_TRUE(walker.seen().empty()) << what << ", cut at " << at;
    }
  }
}

// Each piece is valid; together they are a protocol error (MQTT 5.0 §3.1, §3.3.2.3.4).
TEST(WalkerTest, WhatMayStandOnceOnlyStandsOnce) {
  const Bytes cases[] = {
      connect_packet(MqttVersion::k311),
      publish_packet("a", "m", {.properties = Bytes{0x23, 0, 1, 0x23, 0, 1}}),
      publish_packet("", "m", {.properties = Bytes{0x23, 0, 1, 0x01, 0, 0x23, 0, 2}}),
  };
  for (const Bytes& packet : cases) {
    Walker walker(kStart);
    walker.feed({kStart, connect_packet(MqttVersion::k5) + packet + publish_packet("next")});
    EXPECT_TRUE(walker.blind());
    for (const Sighting& sighting : walker.seen()) EXPECT_FALSE(sighting.topic);
  }
}

TEST(WalkerTest, WhatLooksOddButIsValidIsFollowed) {
  const Bytes cases[] = {
      fixed_header_bytes(0xf0, 3) + Bytes{1, 2, 3},  // AUTH (MQTT 5.0 §3.15)
      {0x30, 0x82, 0x80, 0x00, 0x00, 0x00},          // a length in more bytes than it needs
      {0x3d, 0x05, 0x00, 0x01, 'a', 0x00, 0x01},     // DUP, QoS 2, RETAIN
  };
  for (const Bytes& first : cases) {
    const Bytes stream = first + publish_packet("next", "m");
    expect_exact(stream, {{kStart, stream}}, kStart);
    Walker walker(kStart);
    walker.feed({kStart, stream});
    ASSERT_EQ(walker.seen().size(), 2u);
    EXPECT_EQ(walker.seen()[1].topic, "next");
  }
}

TEST(WalkerTest, ReadsTheKeepaliveOfAConnectWhereverItIsCut) {
  for (const MqttVersion version : {MqttVersion::k31, MqttVersion::k311, MqttVersion::k5}) {
    const Bytes stream = connect_packet(version, "client", 0x1234) + pingreq_packet();
    for (std::size_t at = 0; at < stream.size(); at++) {
      Walker walker(kStart);
      for (const Piece& piece : cut(stream, kStart, {at})) walker.feed(piece);
      EXPECT_EQ(walker.keep_alive(), 0x1234) << "cut at " << at;
      EXPECT_EQ(walker.seen().size(), 2u) << "cut at " << at;
    }
  }
}

TEST(WalkerTest, ABadConnectOrBadPropertiesGoBlind) {
  const Bytes connect = connect_packet(MqttVersion::k5);
  const auto with = [&](const Bytes& properties) {
    return connect + publish_packet("t", "", {.properties = properties});
  };
  const struct {
    const char* what;
    Bytes bytes;
  } cases[] = {
      {"another protocol", {0x10, 0x07, 0x00, 0x04, 'M', 'Q', 'T', 'X', 0x04}},
      {"a CONNECT without a level", {0x10, 0x06, 0x00, 0x04, 'M', 'Q', 'T', 'T'}},
      {"a CONNECT without a keepalive", {0x10, 0x09, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0}},
      {"one of MQTT 3.1", {0x10, 0x0b, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0}},
      {"properties longer than the packet", connect + Bytes{0x30, 0x04, 0, 1, 't', 1}},
      {"no room for their length", connect + Bytes{0x30, 0x03, 0, 1, 't'}},
      {"an unknown property", with({0x7f, 0})},
      {"a property of CONNECT", with({0x11, 0, 0, 0, 1})},
      {"a property longer than all of them", with({0x02, 0, 0})},
      {"a string longer than all of them", with({0x03, 0, 9, 'x'})},
      {"a user property without a value", with({0x26, 0, 1, 'k'})},
      {"a user property whose value is longer", with({0x26, 0, 1, 'k', 0, 1})},
      {"topic alias 0", with({0x23, 0, 0})},
  };
  for (const auto& [what, bytes] : cases) {
    const Bytes stream = bytes + Bytes(8, 0xc0);
    for (std::size_t at = 0; at < stream.size(); at++) {
      Walker walker(kStart);
      for (const Piece& piece : cut(stream, kStart, {at})) walker.feed(piece);
      EXPECT_TRUE(walker.blind()) << what << ", cut at " << at;
      EXPECT_LE(walker.seen().size(), 1u) << what << ", cut at " << at;
    }
  }
}

TEST(WalkerTest, AliasesComeWithTheirPublish) {
  const Bytes stream = connect_packet(MqttVersion::k5) +
                       publish_packet("t", "1", {.properties = Bytes{0x23, 0x01, 0x02}}) +
                       publish_packet("", "2", {.properties = Bytes{1, 0, 0x23, 0x01, 0x02}}) +
                       publish_packet("u", "3", {.properties = Bytes{}});
  for (std::size_t at = 0; at < stream.size(); at++) {
    Walker walker(kStart);
    for (const Piece& piece : cut(stream, kStart, {at})) walker.feed(piece);
    ASSERT_EQ(walker.seen().size(), 4u);
    EXPECT_EQ(walker.seen()[1].alias, 0x102);
    EXPECT_EQ(walker.seen()[2].alias, 0x102);
    EXPECT_EQ(walker.seen()[2].topic, "");
    EXPECT_EQ(walker.seen()[3].alias, 0);
  }
}

TEST(WalkerTest, OnlyTheConnectSaysThatThereAreProperties) {
  // After the topic of the first: a length of properties, or a message.
  for (const MqttVersion version : {MqttVersion::k31, MqttVersion::k311}) {
    const Bytes stream =
        connect_packet(version) + Bytes{0x30, 0x04, 0, 1, 'a', 0x7f} + publish_packet("b");
    expect_exact(stream, {{kStart, stream}}, kStart);
  }
}

}  // namespace
}  // namespace remora
