// SPDX-License-Identifier: Apache-2.0
//
// The random sessions are what they claim to be, and contain what they should.
#include "tests/support/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/plain_reader.h"
#include "tests/support/seeds.h"

namespace remora {

void PrintTo(const SentPublish& publish, std::ostream* out) {
  *out << "QoS " << publish.qos << " at " << publish.offset << ", "
       << (publish.topic ? publish.topic->substr(0, 60) : "a mistake");
}

namespace {

std::vector<SentPublish> as_read(const SessionReading& reading) {
  std::vector<SentPublish> out;
  for (const ReadPublish& publish : reading.publishes) {
    out.push_back({publish.offset, publish.qos, {}});
    if (publish.state == TopicState::kGood) out.back().topic = publish.topic;
  }
  return out;
}

// Writer and reader share no code beyond the fixed header.
TEST(SessionTest, WhatWasMeantIsWhatIsRead) {
  const auto [first, rounds] = seeds(200);
  for (std::uint32_t seed = first; seed < first + rounds; seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session(
        {.longest_message = 20'000, .topics = {"a/b"}, .mistakes = seed % 2 ? 0.2 : 0.0}, random);

    const SessionReading reading = read_session(session.stream);

    ASSERT_EQ(as_read(reading), session.publishes);
    ASSERT_EQ(reading.version, session.version);
    ASSERT_FALSE(reading.malformed_at);
    for (const SentPublish& publish : session.publishes) {
      ASSERT_TRUE(publish.topic || seed % 2 == 1);
      ASSERT_TRUE(!publish.topic || is_topic_name(*publish.topic));
    }
  }
}

TEST(SessionTest, ThreePublishesAreThree) {
  const Session session = three_publishes();
  EXPECT_EQ(as_read(read_session(session.stream)), session.publishes);
  EXPECT_EQ(session.publishes.size(), 3u);
}

TEST(SessionTest, ASeedIsASession) {
  std::mt19937 once(7), twice(7), another(8);
  const Session session = random_session({}, once);
  EXPECT_EQ(random_session({}, twice).stream, session.stream);
  EXPECT_NE(random_session({}, another).stream, session.stream);
}

TEST(SessionTest, SessionsHoldPacketsOfEveryKind) {
  std::set<MqttVersion> versions;
  std::set<int> types, all_qos;
  std::size_t longest_topic = 0, longest_packet = 0;
  bool alias_is_used = false, no_ascii = false, empty_level = false, dollar = false, decoy = false;
  for (std::uint32_t seed = 1; seed <= 100; seed++) {
    std::mt19937 random(seed);
    const Session session = random_session({}, random);
    versions.insert(session.version);
    for (const StreamPacket& packet : read_stream(session.stream).packets) {
      types.insert(packet.first_byte >> 4);
      longest_packet = std::max(longest_packet, packet.length);
      if (packet.topic && packet.topic->empty()) alias_is_used = true;
    }
    for (const SentPublish& publish : session.publishes) {
      const std::string& topic = publish.topic.value();
      all_qos.insert(publish.qos);
      longest_topic = std::max(longest_topic, topic.size());
      if (topic.starts_with('$')) dollar = true;
      if (topic.find("//") != std::string::npos) empty_level = true;
      no_ascii = no_ascii || std::any_of(topic.begin(), topic.end(), [](char c) { return c < 0; });
    }
    const Bytes pattern = bytes_of(kDecoy);
    decoy = decoy || std::search(session.stream.begin(), session.stream.end(), pattern.begin(),
                                 pattern.end()) != session.stream.end();
  }
  EXPECT_EQ(versions, (std::set{MqttVersion::k31, MqttVersion::k311, MqttVersion::k5}));
  EXPECT_EQ(types, (std::set<int>{kConnect, kPublish, kPuback, kPubrec, kPubrel, kPubcomp,
                                  kSubscribe, kUnsubscribe, kPingreq, kDisconnect, kAuth}));
  EXPECT_EQ(all_qos, (std::set{0, 1, 2}));
  EXPECT_GT(longest_topic, 10'000u);
  EXPECT_GT(longest_packet, 200'000u);
  EXPECT_TRUE(alias_is_used);
  EXPECT_TRUE(no_ascii);
  EXPECT_TRUE(empty_level);
  EXPECT_TRUE(dollar);
  EXPECT_TRUE(decoy);
}

TEST(SessionTest, NoTopicIsADecoy) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; i++) {
    const std::string topic = random_topic(65'535, random);
    ASSERT_TRUE(is_topic_name(topic)) << topic;
    ASSERT_FALSE(topic.starts_with(kDecoy));
  }
  for (int i = 0; i < 200; i++) ASSERT_LE(random_topic(5, random).size(), 5u);
}

}  // namespace
}  // namespace remora
