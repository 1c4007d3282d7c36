// SPDX-License-Identifier: Apache-2.0
//
// Topics that the kernel does not judge, assembled from their pieces.
#include "daemon/events/topic_pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "bpf/parse.h"
#include "daemon/base/address.h"

namespace remora {
namespace {

constexpr std::uint32_t kSeq = 0xffffff00;

flow_key flow_of(const std::string& client, std::uint16_t port = 40000) {
  return {Address::parse(client)->abi(), host_to_net16(port), 0};
}

const flow_key kFlow = flow_of("10.1.1.7");

std::string long_topic(std::size_t size, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::string topic(size, '\0');
  for (char& byte : topic) byte = static_cast<char>('a' + random() % 26);
  return topic;
}

class TopicPiecesTest : public testing::Test {
 protected:
  std::optional<std::string> add(const std::string& topic, std::size_t offset, std::size_t size,
                                 const flow_key& flow = kFlow, std::uint32_t seq = kSeq) {
    const std::string piece = topic.substr(offset, size);
    Record record{};
    record.head.flow = flow;
    record.head.seq = seq;
    record.head.action = ACTION_PIECE;
    record.head.topic_len = static_cast<__u16>(topic.size());
    record.head.topic_offset = static_cast<__u16>(offset);
    record.head.data_len = static_cast<__u16>(piece.size());
    record.data = {reinterpret_cast<const std::uint8_t*>(piece.data()), piece.size()};
    return pieces_.add(record);
  }

  TopicPieces pieces_;
};

TEST_F(TopicPiecesTest, OnePieceMayBeTheWholeTopic) {
  EXPECT_EQ(add("a", 0, 1), "a");
  EXPECT_EQ(pieces_.in_progress(), 0U);
}

TEST_F(TopicPiecesTest, PiecesMakeTheTopicOnce) {
  const std::string topic = long_topic(65535);

  for (std::size_t at = 0; at + 1000 < topic.size(); at += 1000) {
    EXPECT_EQ(add(topic, at, 1000), std::nullopt) << at;
  }
  EXPECT_EQ(add(topic, 65000, 535), topic);
  EXPECT_EQ(pieces_.in_progress(), 0U);
  EXPECT_EQ(pieces_.given_up(), 0U);
}

TEST_F(TopicPiecesTest, OrderRepetitionAndOverlapDoNotMatter) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const std::string topic = long_topic(1 + random() % 5000, seed);
    std::vector<std::pair<std::size_t, std::size_t>> pieces;
    for (std::size_t at = 0; at < topic.size();) {
      const std::size_t size = std::min<std::size_t>(1 + random() % 700, topic.size() - at);
      pieces.emplace_back(at, size);
      at += 1 + random() % size;
    }
    const std::size_t once = pieces.size();
    for (std::size_t i = 0; i < once; ++i) pieces.push_back(pieces[random() % once]);
    std::shuffle(pieces.begin(), pieces.end(), random);

    std::optional<std::string> whole;
    for (const auto& [at, size] : pieces) {
      whole = add(topic, at, size);
      if (whole) break;
    }
    EXPECT_EQ(whole, topic) << "seed " << seed;
    EXPECT_EQ(pieces_.in_progress(), 0U);
  }
}

TEST_F(TopicPiecesTest, AByteThatComesTwiceKeepsItsFirstValue) {
  add("abcdef", 0, 3);

  EXPECT_EQ(add("uvwxyz", 1, 5), "abcxyz");
}

TEST_F(TopicPiecesTest, TopicsAreToldApartByFlowAndPlace) {
  add("first", 0, 3);
  add("other", 0, 3, kFlow, kSeq + 100);
  add("third", 0, 3, flow_of("10.1.1.7", 40001));
  flow_key other_service = kFlow;
  other_service.service = 1;
  add("forth", 0, 3, other_service);

  EXPECT_EQ(add("first", 3, 2), "first");
  EXPECT_EQ(add("other", 3, 2, kFlow, kSeq + 100), "other");
  EXPECT_EQ(add("third", 3, 2, flow_of("10.1.1.7", 40001)), "third");
  EXPECT_EQ(add("forth", 3, 2, other_service), "forth");
}

TEST_F(TopicPiecesTest, AnotherLengthIsAnotherTopic) {
  add("abcdef", 0, 3);

  EXPECT_EQ(add("xyz", 0, 1), std::nullopt);
  EXPECT_EQ(add("xyz", 1, 2), "xyz");
  EXPECT_EQ(pieces_.given_up(), 1U);
  EXPECT_EQ(pieces_.in_progress(), 0U);
}

TEST_F(TopicPiecesTest, TheOldestMakesRoomWhenThereAreTooMany) {
  const auto client = [](std::size_t i) { return flow_of("10.1.2." + std::to_string(i)); };
  for (std::size_t i = 0; i <= TopicPieces::kTopics; ++i) add("topic", 0, 2, client(i));

  EXPECT_EQ(pieces_.in_progress(), TopicPieces::kTopics);
  EXPECT_EQ(pieces_.given_up(), 1U);
  EXPECT_EQ(add("topic", 2, 3, client(1)), "topic");
  EXPECT_EQ(add("topic", 2, 3, client(0)), std::nullopt) << "its beginning is gone";
}

TEST_F(TopicPiecesTest, OneClientDoesNotPushTheOthersOut) {
  add("topic", 0, 2, flow_of("10.1.1.8"));
  for (std::uint32_t i = 0; i < 1000; ++i) {
    add("topic", 0, 2, flow_of("10.1.1.7", static_cast<std::uint16_t>(i)));
    add("topic", 0, 2, kFlow, i);
  }

  EXPECT_EQ(pieces_.in_progress(), 1 + TopicPieces::kTopicsOfClient);
  EXPECT_EQ(add("topic", 2, 3, flow_of("10.1.1.8")), "topic");
}

}  // namespace
}  // namespace remora
