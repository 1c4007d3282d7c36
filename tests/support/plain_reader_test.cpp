// SPDX-License-Identifier: Apache-2.0
//
// The plain reader over streams written by hand, byte by byte.
#include "tests/support/plain_reader.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

const Bytes kConnect5{0x10, 0x0e, 0x00, 0x04, 'M', 'Q',  'T',  'T',
                      0x05, 0x02, 0x00, 0x3c, 0,   0x00, 0x01, 'c'};
const Bytes kConnect311{0x10, 0x0d, 0x00, 0x04, 'M',  'Q',  'T', 'T',
                        0x04, 0x02, 0x00, 0x3c, 0x00, 0x01, 'c'};

// The fields of a PUBLISH that the tests compare.
struct Seen {
  std::size_t offset;
  int qos;
  TopicState state;
  std::string topic;

  bool operator==(const Seen&) const = default;
};
using Publishes = std::vector<Seen>;

Publishes seen(const SessionReading& reading, std::size_t begin) {
  Publishes out;
  for (const ReadPublish& publish : reading.publishes)
    out.push_back({publish.offset - begin, publish.qos, publish.state, publish.topic});
  return out;
}

// The PUBLISHes of an MQTT 5 session; offsets count from the end of the CONNECT.
Publishes read_5(const Bytes& stream) {
  return seen(read_session(kConnect5 + stream), kConnect5.size());
}

TEST(PlainReaderTest, ReadsTheTopicsOfVersion311) {
  const Bytes stream = kConnect311 +                                   // 15 bytes
                       Bytes{0x30, 0x05, 0x00, 0x03, 'a', '/', 'b'} +  // 7
                       Bytes{0xc0, 0x00} +                             // 2
                       Bytes{0x32, 0x06, 0x00, 0x01, 'c', 0x00, 0x07, '!'};

  const SessionReading reading = read_session(stream);

  EXPECT_EQ(reading.version, MqttVersion::k311);
  EXPECT_EQ(seen(reading, 0),
            (Publishes{{15, 0, TopicState::kGood, "a/b"}, {24, 1, TopicState::kGood, "c"}}));
  EXPECT_FALSE(reading.malformed_at);
}

TEST(PlainReaderTest, KnowsTheVersions) {
  EXPECT_EQ(read_session(kConnect5).version, MqttVersion::k5);
  EXPECT_EQ(read_session({0x10, 0x0f, 0x00, 0x06, 'M', 'Q', 'I', 's', 'd', 'p', 0x03, 0x02, 0x00,
                          0x3c, 0x00, 0x01, 'c'})
                .version,
            MqttVersion::k31);
  EXPECT_FALSE(read_session({0xc0, 0x00}).version);
  EXPECT_FALSE(read_session(Bytes(kConnect5.begin(), kConnect5.begin() + 8)).version);
}

TEST(PlainReaderTest, AnAliasCountsAsItsTopic) {
  const Bytes sets{0x30, 0x07, 0x00, 0x01, 'a', 0x03, 0x23, 0x00, 0x01};
  const Bytes uses{0x30, 0x07, 0x00, 0x00, 0x03, 0x23, 0x00, 0x01, '!'};
  const Bytes sets_anew{0x30, 0x07, 0x00, 0x01, 'b', 0x03, 0x23, 0x00, 0x01};
  const Bytes uses_another{0x30, 0x07, 0x00, 0x00, 0x03, 0x23, 0x01, 0x00, '!'};

  EXPECT_EQ(read_5(sets + uses + sets_anew + uses + uses_another),
            (Publishes{{0, 0, TopicState::kGood, "a"},
                       {9, 0, TopicState::kGood, "a"},
                       {18, 0, TopicState::kGood, "b"},
                       {27, 0, TopicState::kGood, "b"},
                       {36, 0, TopicState::kUnknownAlias, ""}}));
}

TEST(PlainReaderTest, FindsAnAliasAmongPropertiesOfEveryKind) {
  const Bytes properties = Bytes{0x01, 0x01} + Bytes{0x02, 0x00, 0x00, 0x00, 0x23} +
                           Bytes{0x03, 0x00, 0x01, 't'} + Bytes{0x08, 0x00, 0x01, 'r'} +
                           Bytes{0x09, 0x00, 0x03, 0x23, 0x00, 0x02} + Bytes{0x0b, 0x80, 0x01} +
                           Bytes{0x26, 0x00, 0x01, 'k', 0x00, 0x01, 'v'} + Bytes{0x23, 0x00, 0x01} +
                           Bytes{0x01, 0x00};
  ASSERT_EQ(properties.size(), 36u);
  // QoS 2: a packet identifier precedes the properties.
  const Bytes sets = Bytes{0x34, 0x2a, 0x00, 0x01, 'a', 0x00, 0x09, 0x24} + properties;
  const Bytes uses{0x30, 0x06, 0x00, 0x00, 0x03, 0x23, 0x00, 0x01};

  EXPECT_EQ(read_5(sets + uses),
            (Publishes{{0, 2, TopicState::kGood, "a"}, {sets.size(), 0, TopicState::kGood, "a"}}));
}

TEST(PlainReaderTest, ATopicIsDecidedBehindTheProperties) {
  const Bytes publish{0x32, 0x0a, 0x00, 0x01, 'a', 0x00, 0x07, 0x03, 0x23, 0x00, 0x01, '!'};

  const auto in_5 = read_session(kConnect5 + publish).publishes;
  const auto in_311 = read_session(kConnect311 + publish).publishes;

  ASSERT_EQ(in_5.size(), 1u);
  EXPECT_EQ(in_5[0].decided_at, kConnect5.size() + 11);
  EXPECT_EQ(in_5[0].alias, 1u);
  ASSERT_EQ(in_311.size(), 1u);
  EXPECT_EQ(in_311[0].decided_at, kConnect311.size() + 5);
  EXPECT_EQ(in_311[0].alias, 0u);
}

TEST(PlainReaderTest, OnlyVersion5HasAliases) {
  const Bytes looks_like{0x30, 0x07, 0x00, 0x01, 'a', 0x03, 0x23, 0x00, 0x01};
  const Bytes empty{0x30, 0x06, 0x00, 0x00, 0x03, 0x23, 0x00, 0x01};

  const auto publishes = read_session(kConnect311 + looks_like + empty).publishes;

  ASSERT_EQ(publishes.size(), 2u);
  EXPECT_EQ(publishes[0].topic, "a");
  EXPECT_EQ(publishes[1].state, TopicState::kUnknownAlias);
}

TEST(PlainReaderTest, ABrokenTopicTakesItsAliasWithIt) {
  const Bytes sets{0x30, 0x07, 0x00, 0x01, 'a', 0x03, 0x23, 0x00, 0x01};
  const Bytes breaks{0x30, 0x07, 0x00, 0x01, '#', 0x03, 0x23, 0x00, 0x01};
  const Bytes uses{0x30, 0x06, 0x00, 0x00, 0x03, 0x23, 0x00, 0x01};

  EXPECT_EQ(read_5(sets + breaks + uses), (Publishes{{0, 0, TopicState::kGood, "a"},
                                                     {9, 0, TopicState::kInvalid, ""},
                                                     {18, 0, TopicState::kUnknownAlias, ""}}));
}

TEST(PlainReaderTest, SaysWhereAStreamIsBroken) {
  const struct {
    const char* what;
    Bytes packet;
  } cases[] = {
      {"a second CONNECT", kConnect311},
      {"the reserved type", {0x00, 0x00}},
      {"five bytes of length", {0x30, 0xff, 0xff, 0xff, 0xff, 0x01}},
      {"a topic longer than its packet", {0x30, 0x03, 0x00, 0x02, 'a'}},
      {"QoS 3", {0x36, 0x06, 0x00, 0x01, 'a', 0x00, 0x01, 0x00}},
      {"alias 0", {0x30, 0x07, 0x00, 0x01, 'a', 0x03, 0x23, 0x00, 0x00}},
      {"two aliases", {0x30, 0x0a, 0x00, 0x01, 'a', 0x06, 0x23, 0, 1, 0x23, 0, 2}},
      {"properties longer than the packet", {0x30, 0x07, 0x00, 0x01, 'a', 0x04, 0x23, 0x00, 0x01}},
      {"the last property cut", {0x30, 0x07, 0x00, 0x01, 'a', 0x02, 0x23, 0x00, 0x01}},
      {"an unknown property", {0x30, 0x06, 0x00, 0x01, 'a', 0x02, 0x7f, 0x00}},
      {"no length of properties", {0x30, 0x03, 0x00, 0x01, 'a'}},
      {"one of five bytes", {0x30, 0x08, 0x00, 0x01, 'a', 0xff, 0xff, 0xff, 0xff, 0x00}},
      {"no room for the packet identifier", {0x32, 0x04, 0x00, 0x01, 'a', 0x00}},
  };
  for (const auto& [what, packet] : cases) {
    const SessionReading reading =
        read_session(kConnect5 + Bytes{0xc0, 0x00} + packet + publish_packet("behind"));
    EXPECT_EQ(reading.malformed_at, kConnect5.size() + 2) << what;
    EXPECT_TRUE(reading.publishes.empty()) << what;
  }
}

TEST(PlainReaderTest, WhatTheStreamDoesNotHoldIsNotRead) {
  const Bytes publish{0x32, 0x0c, 0x00, 0x03, 'a', 'b', 'c', 0x00, 0x01, 0x03, 0x23, 0x00, 0x01};
  for (std::size_t end = 0; end < publish.size(); end++)
    EXPECT_TRUE(read_5(Bytes(publish.begin(), publish.begin() + static_cast<long>(end))).empty())
        << end;
  EXPECT_EQ(read_5(publish).size(), 1u);
  // The message may be missing.
  EXPECT_EQ(read_5({0x30, 0x7f, 0x00, 0x01, 'a', 0x00}).size(), 1u);
}

TEST(TopicNameTest, HoldsWhatTheStandardAllows) {
  for (const std::string_view topic :
       {"a", "/", "//", "a//b", "$SYS/x", " ", "\x01", "\x7f", "\xc2\x80", "\xdf\xbf",
        "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_topic_name(topic)) << topic;
  EXPECT_TRUE(is_topic_name(std::string(65'535, 'a')));
}

TEST(TopicNameTest, HoldsNothingElse) {
  for (const std::string_view topic : {"",
                                       "+",
                                       "#",
                                       "a/+",
                                       "a#",
                                       "\x80",
                                       "\xbf",
                                       "\xc2",
                                       "\xc2\x41",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xe0\x9f\xbf",
                                       "\xe2\x82",
                                       "\xe2\x28\xa1",
                                       "\xed\xa0\x80",
                                       "\xed\xbf\xbf",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf8\x88\x80\x80\x80",
                                       "\xff",
                                       "a\xf0\x90\x80"})
    EXPECT_FALSE(is_topic_name(topic)) << topic;
  EXPECT_FALSE(is_topic_name(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_topic_name(std::string(65'536, 'a')));
}

}  // namespace
}  // namespace remora
