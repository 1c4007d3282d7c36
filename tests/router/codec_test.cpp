// SPDX-License-Identifier: Apache-2.0
//
// The MQTT codec of the router: reading packets from bytes, and changing packets.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "daemon/mqtt/answers.h"
#include "daemon/mqtt/connect.h"
#include "daemon/mqtt/packet_reader.h"
#include "daemon/mqtt/plain_publish.h"
#include "daemon/mqtt/publish.h"
#include "tests/router/fake_broker.h"
#include "tests/support/seeds.h"
#include "tests/support/session.h"

namespace remora {
namespace {

using mqtt::ByteView;
using mqtt::PacketReader;
using mqtt::Part;
using mqtt::Reason;
using mqtt::Sender;
using mqtt::Version;

constexpr std::size_t kLongest = 256 * 1024;

Version codec_version(MqttVersion version) {
  return static_cast<Version>(version);
}

// The packets of a stream that arrives in these pieces, with payloads put together again.
struct Reading {
  std::vector<Bytes> packets;
  std::optional<Reason> problem;
};

Reading read(PacketReader& reader, const std::vector<Bytes>& pieces) {
  Reading reading;
  std::size_t left = 0;
  for (const Bytes& piece : pieces) {
    ByteView input(piece);
    while (const auto part = reader.next(input)) {
      if (part->kind == Part::Kind::kPayload) {
        EXPECT_EQ(left - part->bytes.size(), part->left);
        reading.packets.back().insert(reading.packets.back().end(), part->bytes.begin(),
                                      part->bytes.end());
      } else {
        EXPECT_EQ(left, 0U) << "a packet begins before the last one has ended";
        reading.packets.emplace_back(part->bytes.begin(), part->bytes.end());
      }
      left = part->left;
    }
    if (reader.problem()) break;
    EXPECT_TRUE(input.empty());
  }
  reading.problem = reader.problem();
  return reading;
}

std::vector<Bytes> cut_into(const Bytes& stream, std::size_t size) {
  std::vector<Bytes> pieces;
  for (std::size_t at = 0; at < stream.size(); at += size) {
    const auto begin = stream.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end =
        stream.begin() + static_cast<std::ptrdiff_t>(std::min(at + size, stream.size()));
    pieces.emplace_back(begin, end);
  }
  return pieces;
}

// ---- streams

TEST(PacketReaderTest, CutsMakeNoDifference) {
  const auto [first, rounds] = seeds(60);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session({}, random);
    Bytes stream = session.stream;
    std::vector<Bytes> packets;
    for (const PlainPacket& packet : take_packets(stream)) packets.push_back(packet.bytes);

    PacketReader reader(Sender::kClient, kLongest);
    reader.set_version(codec_version(session.version));
    const std::size_t size = 1 + random() % 2000;
    const Reading reading = read(reader, cut_into(session.stream, size));

    EXPECT_EQ(reading.problem, std::nullopt);
    EXPECT_EQ(reading.packets, packets);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(PacketReaderTest, APayloadIsNotWaitedFor) {
  const Bytes packet = publish_packet("t", std::string(1000, 'x'));
  PacketReader reader(Sender::kClient, kLongest);
  ByteView input = ByteView(packet).first(20);

  const auto part = reader.next(input);

  ASSERT_TRUE(part);
  EXPECT_EQ(part->kind, Part::Kind::kPublish);
  EXPECT_EQ(part->bytes.data(), packet.data());  // not copied
  EXPECT_EQ(part->bytes.size(), 20U);
  EXPECT_EQ(part->left, packet.size() - 20);
  EXPECT_EQ(reader.kept_bytes(), 0U);
}

struct Malformed {
  const char* what;
  Bytes stream;
  Reason reason;
  Version version = Version::k311;
};

TEST(PacketReaderTest, MalformedStreamsEndWithTheReasonOfTheStandard) {
  const std::vector<Malformed> rows{
      {"type 0", {0x00, 0}, Reason::kMalformed},
      {"QoS 3", {0x36, 5, 0, 1, 't', 0, 1}, Reason::kMalformed},
      {"flags of a PINGREQ", {0xc1, 0}, Reason::kMalformed},
      {"flags of a SUBSCRIBE", {0x80, 0}, Reason::kMalformed},
      {"flags of a PUBREL", {0x60, 2, 0, 1}, Reason::kMalformed},
      {"a length of five bytes", {0xc0, 0x80, 0x80, 0x80, 0x80, 1}, Reason::kMalformed},
      {"a topic beyond the packet", {0x30, 3, 0, 9, 't'}, Reason::kMalformed},
      {"a PUBLISH without a topic's length", {0x30, 1, 0}, Reason::kMalformed},
      {"no room for the identifier", {0x32, 4, 0, 1, 't', 0}, Reason::kMalformed},
      {"no properties", {0x30, 3, 0, 1, 't'}, Reason::kMalformed, Version::k5},
      {"properties beyond the packet", {0x30, 4, 0, 1, 't', 9}, Reason::kMalformed, Version::k5},
      {"a CONNACK from a client", {0x20, 2, 0, 0}, Reason::kProtocolError},
      {"an AUTH of MQTT 3", {0xf0, 0}, Reason::kProtocolError},
      {"too long", fixed_header_bytes(0x82, kLongest), Reason::kPacketTooLarge},
  };
  for (const Malformed& row : rows) {
    SCOPED_TRACE(row.what);
    for (const std::size_t size : {row.stream.size(), std::size_t{1}}) {
      PacketReader reader(Sender::kClient, kLongest);
      reader.set_version(row.version);
      const Reading reading = read(reader, cut_into(row.stream, size));
      EXPECT_EQ(reading.problem, row.reason);
      EXPECT_TRUE(reading.packets.empty());
    }
  }
}

TEST(PacketReaderTest, MqttThreeOneMayRepeatASubscribe) {
  const Bytes repeated =
      control_packet(kSubscribe, 0x0a, two_bytes(1) + utf8_string("t") + Bytes{0});
  PacketReader reader(Sender::kClient, kLongest);
  reader.set_version(Version::k31);
  EXPECT_EQ(read(reader, {repeated}).packets, std::vector<Bytes>{repeated});
}

// ---- CONNECT

TEST(ConnectTest, EveryBeginningIsToldFromOthersAsSoonAsPossible) {
  using Kind = mqtt::Beginning::Kind;
  const Bytes tls{0x16, 0x03, 0x01, 0x02, 0x00};
  EXPECT_EQ(mqtt::beginning_of(ByteView(tls).first(1)).kind, Kind::kOther);
  for (const char* other : {"GET / HTTP/1.1", "PROXY TCP4", "\r\n\r\n"}) {
    EXPECT_EQ(mqtt::beginning_of(bytes_of(other)).kind, Kind::kOther) << other;
  }
  for (const auto version : {MqttVersion::k31, MqttVersion::k311, MqttVersion::k5}) {
    const Bytes packet = connect_packet(version);
    const std::size_t level = version == MqttVersion::k31 ? 10 : 8;
    for (std::size_t size = 0; size <= packet.size(); ++size) {
      const auto beginning = mqtt::beginning_of(ByteView(packet).first(size));
      EXPECT_NE(beginning.kind, Kind::kOther) << size;
      EXPECT_EQ(beginning.kind == Kind::kOpen, size <= level) << size;
    }
  }
}

TEST(ConnectTest, ALevelThatNobodyKnowsIsLeftToTheBroker) {
  Bytes packet = connect_packet(MqttVersion::k311);
  packet[8] = 6;
  EXPECT_EQ(mqtt::beginning_of(packet).kind, mqtt::Beginning::Kind::kOther);
  packet[8] = 0x84;  // a bridge
  EXPECT_EQ(mqtt::parse_connect(packet)->version, Version::k311);
}

// Version 5, with a Will, user name and password, and properties of which two are dropped.
Bytes rich_connect() {
  Bytes body = utf8_string("MQTT") + Bytes{5, 0xee} + two_bytes(30);
  const Bytes receive_maximum{0x21, 0, 7};
  const Bytes properties = Bytes{0x11, 0, 0, 1, 0} + receive_maximum + Bytes{0x22, 0, 9};
  body = body + Bytes{static_cast<std::uint8_t>(properties.size())} + properties;
  body =
      body + utf8_string("dev") + Bytes{2, 0x01, 1} + utf8_string("will/t") + utf8_string("gone");
  return control_packet(kConnect, 0, body + utf8_string("user") + utf8_string("secret"));
}

TEST(ConnectTest, AFurtherSessionHasTheSameCredentialsAndNothingThatLasts) {
  const Bytes packet = rich_connect();
  const auto connect = mqtt::parse_connect(packet);
  ASSERT_TRUE(connect);
  EXPECT_EQ(connect->client_id, "dev");
  EXPECT_EQ(connect->keep_alive_s, 30);
  EXPECT_TRUE(connect->has_will());
  EXPECT_TRUE(connect->is_persistent());  // the session outlives the connection

  const Bytes further = mqtt::further_connect(*connect, "dev-g1");

  const Bytes body = utf8_string("MQTT") + Bytes{5, 0xc2} + two_bytes(30) + Bytes{3, 0x21, 0, 7} +
                     utf8_string("dev-g1") + utf8_string("user") + utf8_string("secret");
  EXPECT_EQ(further, control_packet(kConnect, 0, body));
}

TEST(ConnectTest, WhatIsCutInsideIsMalformed) {
  Bytes packet = rich_connect();
  for (std::size_t less = 1; less < packet.size() - 12; ++less) {
    Bytes shorter(packet.begin(), packet.end() - static_cast<std::ptrdiff_t>(less));
    shorter[1] = static_cast<std::uint8_t>(shorter.size() - 2);
    EXPECT_FALSE(mqtt::parse_connect(shorter)) << less;
  }
}

// ---- PUBLISH

std::variant<mqtt::Publish, Reason> parsed(const Bytes& packet, Version version) {
  PacketReader reader(Sender::kClient, kLongest);
  reader.set_version(version);
  ByteView input(packet);
  const auto part = reader.next(input);
  if (!part) return *reader.problem();
  return mqtt::parse_publish(*part, version);
}

TEST(PublishTest, AnAliasIsReplacedByItsTopic) {
  const Bytes user = Bytes{0x26} + utf8_string("k") + utf8_string("v");
  const PublishOptions options{.qos = 1, .packet_id = 77, .properties = user + Bytes{0x23, 0, 5}};
  const Bytes packet = publish_packet("", "hello", options);
  const auto message = std::get<mqtt::Publish>(parsed(packet, Version::k5));
  EXPECT_EQ(message.alias, 5);
  EXPECT_EQ(message.id, 77);

  const Bytes head = mqtt::without_alias(message, "the/topic", 5);

  EXPECT_EQ(head + bytes_of("hello"),
            publish_packet("the/topic", "hello", {.qos = 1, .packet_id = 77, .properties = user}));
}

TEST(PublishTest, MalformedOnesHaveTheReasonOfTheStandard) {
  const auto reason = [](const Bytes& properties) {
    const auto result = parsed(publish_packet("t", "", {.properties = properties}), Version::k5);
    return std::holds_alternative<Reason>(result) ? std::get<Reason>(result) : Reason::kSuccess;
  };
  EXPECT_EQ(reason({}), Reason::kSuccess);
  EXPECT_EQ(reason({0x23, 0, 0}), Reason::kTopicAliasInvalid);
  EXPECT_EQ(reason({0x23, 0, 1, 0x23, 0, 1}), Reason::kProtocolError);
  EXPECT_EQ(reason({0x11, 0, 0, 0, 1}), Reason::kMalformed);  // no PUBLISH may have it
  EXPECT_EQ(reason({0x23, 0}), Reason::kMalformed);
  EXPECT_EQ(reason({0x7f}), Reason::kMalformed);
  const auto no_id = parsed(publish_packet("t", "", {.qos = 1, .packet_id = 0}), Version::k311);
  EXPECT_EQ(std::get<Reason>(no_id), Reason::kProtocolError);
}

TEST(PlainPublishTest, WholeMessagesOfQos0WithoutPropertiesAreRecognized) {
  const auto topic = [](const Bytes& packet, Version version) {
    const auto message = mqtt::plain_publish(packet, version);
    if (message) EXPECT_EQ(message->size, packet.size());
    return std::string(message ? message->topic : "");
  };
  const std::string long_message(1000, 'x');
  EXPECT_EQ(topic(publish_packet("a/b", "hello"), Version::k311), "a/b");
  EXPECT_EQ(topic(publish_packet("a/b", ""), Version::k31), "a/b");
  EXPECT_EQ(topic(publish_packet("a/b", long_message), Version::k311), "a/b");
  EXPECT_EQ(topic(publish_packet("a/b", "", {.properties = Bytes{}}), Version::k5), "a/b");
  EXPECT_EQ(topic({0x31, 3, 0, 1, 't'}, Version::k311), "t") << "a retained message";

  EXPECT_EQ(topic(publish_packet("a/b", "hello", {.qos = 1}), Version::k311), "");
  EXPECT_EQ(topic(publish_packet("a/b", "", {.properties = Bytes{0x01, 0}}), Version::k5), "");
  EXPECT_EQ(topic({0x30, 3, 0, 1, 't'}, Version::k5), "") << "no length of properties";
  EXPECT_EQ(topic({0x38, 3, 0, 1, 't'}, Version::k311), "") << "a repetition";
  EXPECT_EQ(topic({0x30, 3, 0, 2, 't'}, Version::k311), "") << "a topic beyond the packet";
  EXPECT_EQ(topic({0x30, 3, 0, 0, 'm'}, Version::k311), "") << "no topic";
  EXPECT_EQ(topic({0x30, 0x83, 0, 0, 1, 't'}, Version::k311), "") << "a length in too many bytes";
  EXPECT_EQ(topic({0x30, 4, 0, 1, 't'}, Version::k311), "") << "not whole";
  EXPECT_EQ(topic({0xc0, 0, 0xc0, 0, 0xc0}, Version::k311), "") << "a ping";
}

// Each message that is recognized is one that the packet reader finds in the same place.
TEST(PlainPublishTest, ThePacketReaderAgrees) {
  const auto [first, rounds] = seeds(20'000);
  std::size_t recognized = 0;
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const auto version = static_cast<Version>(3 + random() % 3);
    PublishOptions options{.qos = static_cast<int>(random() % 2)};
    if (version == Version::k5) options.properties = Bytes{};
    Bytes bytes = publish_packet("a/b", std::string(random() % 300, 'x'), options);
    for (std::uint32_t i = random() % 3; i > 0; --i) {
      bytes[random() % std::min<std::size_t>(bytes.size(), 10)] =
          static_cast<std::uint8_t>(random());
    }
    const auto message = mqtt::plain_publish(bytes, version);
    if (!message) continue;
    ++recognized;

    PacketReader reader(Sender::kClient, kLongest);
    reader.set_version(version);
    ByteView input(bytes);
    const auto part = reader.next(input);
    ASSERT_TRUE(part && part->kind == Part::Kind::kPublish);
    EXPECT_EQ(part->bytes.size(), message->size);
    EXPECT_EQ(part->left, 0U);
    const auto read = std::get<mqtt::Publish>(mqtt::parse_publish(*part, version));
    EXPECT_EQ(read.topic, message->topic);
    EXPECT_EQ(read.qos(), 0);
    EXPECT_EQ(read.alias, 0);
  }
  EXPECT_GT(recognized, rounds / 10);
}

// ---- CONNACK and acknowledgements

Part whole(const Bytes& packet) {
  return {Part::Kind::kPacket, packet[0], packet, true, 2, 0, 0};
}

TEST(AnswersTest, AConnackTellsTheBrokersLimits) {
  const Bytes packet =
      connack_packet(MqttVersion::k5, 0,
                     Bytes{0x21, 0, 3, 0x24, 1, 0x25, 0, 0x27, 0, 0, 1, 0, 0x22, 0, 8, 0x13, 0, 9});
  const auto connack = mqtt::parse_connack(whole(packet), Version::k5);
  ASSERT_TRUE(connack);
  EXPECT_EQ(connack->reason, Reason::kSuccess);
  EXPECT_EQ(connack->limits.receive_maximum, 3);
  EXPECT_EQ(connack->limits.maximum_qos, 1);
  EXPECT_FALSE(connack->limits.retain_available);
  EXPECT_EQ(connack->limits.maximum_packet, 256U);
  EXPECT_EQ(connack->limits.topic_alias_maximum, 8);
  EXPECT_EQ(connack->limits.keep_alive_s, 9);
}

TEST(AnswersTest, RefusalsOfBothVersionsAreUnderstood) {
  EXPECT_EQ(mqtt::parse_connack(whole({0x20, 2, 0, 5}), Version::k311)->reason,
            Reason::kNotAuthorized);
  // An old broker does not know version 5.
  EXPECT_TRUE(is_failure(mqtt::parse_connack(whole({0x20, 2, 0, 1}), Version::k5)->reason));
  EXPECT_FALSE(mqtt::parse_connack(whole({0x20, 1, 0}), Version::k311));
  EXPECT_FALSE(mqtt::parse_connack(whole({0x20, 6, 0, 0, 3, 0x21, 0, 0}), Version::k5));
  EXPECT_EQ(mqtt::connack_refusal(Version::k311, Reason::kServerUnavailable),
            (Bytes{0x20, 2, 0, 3}));
  EXPECT_EQ(mqtt::connack_refusal(Version::k5, Reason::kServerUnavailable),
            (Bytes{0x20, 3, 0, 0x88, 0}));
}

TEST(AnswersTest, AnAckHasAnIdentifierAndMayHaveAReason) {
  EXPECT_EQ(mqtt::parse_ack(whole({0x40, 2, 1, 2}), Version::k311)->id, 0x102);
  EXPECT_EQ(mqtt::parse_ack(whole({0x50, 3, 0, 1, 0x97}), Version::k5)->reason,
            Reason::kQuotaExceeded);
  EXPECT_FALSE(mqtt::parse_ack(whole({0x40, 2, 0, 0}), Version::k311));
  EXPECT_FALSE(mqtt::parse_ack(whole({0x40, 1, 0}), Version::k311));
}

}  // namespace
}  // namespace remora
