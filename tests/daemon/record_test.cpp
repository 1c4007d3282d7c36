// SPDX-License-Identifier: Apache-2.0
//
// Which records of the ring buffer are accepted, and which are not.
#include "daemon/packets/record.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace remora {
namespace {

// A record as the kernel writes it; the vector must outlive what is read from it.
std::vector<std::uint8_t> bytes_of(event head, const std::string& data) {
  head.data_len = static_cast<__u16>(data.size());
  std::vector<std::uint8_t> bytes(sizeof(head) + data.size());
  std::memcpy(bytes.data(), &head, sizeof(head));
  std::memcpy(bytes.data() + sizeof(head), data.data(), data.size());
  return bytes;
}

event judged(__u8 action, __u16 topic_offset, __u16 topic_len, __u8 flags = 0) {
  event head{};
  head.action = action;
  head.flags = flags;
  head.topic_offset = topic_offset;
  head.topic_len = topic_len;
  return head;
}

std::optional<Record> read(const std::vector<std::uint8_t>& bytes) {
  return read_record(bytes.data(), bytes.size());
}

TEST(RecordTest, ATopicLiesInTheData) {
  const auto alone = bytes_of(judged(ACTION_LEARNED, 0, 3), "a/b");
  const auto in_segment = bytes_of(judged(ACTION_RESET, 4, 3, EVENT_SEGMENT), "xxxxa/bpayload");
  const auto no_topic_at_all = bytes_of(judged(ACTION_KEPT, 0, 0), "");

  ASSERT_TRUE(read(alone));
  EXPECT_EQ(read(alone)->topic(), "a/b");
  ASSERT_TRUE(read(in_segment));
  EXPECT_EQ(read(in_segment)->topic(), "a/b");
  ASSERT_TRUE(read(no_topic_at_all));
  EXPECT_EQ(read(no_topic_at_all)->topic(), "");
}

TEST(RecordTest, TheRingMayRoundTheSizeUp) {
  auto bytes = bytes_of(judged(ACTION_LEARNED, 0, 3), "a/b");
  bytes.resize(bytes.size() + 5);

  ASSERT_TRUE(read(bytes));
  EXPECT_EQ(read(bytes)->data.size(), 3U);
}

TEST(RecordTest, ATopicWithARecordOfItsOwnIsNotSoughtInTheSegment) {
  const auto topic = bytes_of(judged(ACTION_RESET, 0, 3, EVENT_TOPIC_APART), "a/b");
  const auto segment =
      bytes_of(judged(ACTION_RESET, 0, 0, EVENT_SEGMENT | EVENT_TOPIC_APART), "end of topic");

  ASSERT_TRUE(read(topic));
  EXPECT_EQ(read(topic)->topic(), "a/b");
  ASSERT_TRUE(read(segment)) << "its connection would not be ended";
  EXPECT_FALSE(read(segment)->topic());
  EXPECT_EQ(read(segment)->data.size(), 12U);
}

TEST(RecordTest, ATopicBehindACutIsNotMadeUp) {
  const auto bytes =
      bytes_of(judged(ACTION_RESET, 10, 7, EVENT_SEGMENT | EVENT_TRUNCATED), "short");

  ASSERT_TRUE(read(bytes)) << "its connection would not be ended";
  EXPECT_FALSE(read(bytes)->topic());
}

TEST(RecordTest, APieceLiesInItsTopic) {
  const auto bytes = bytes_of(judged(ACTION_PIECE, 60000, 65535), std::string(5535, 'x'));

  ASSERT_TRUE(read(bytes));
  EXPECT_EQ(read(bytes)->piece().size(), 5535U);
  EXPECT_FALSE(read(bytes)->topic());
}

TEST(RecordTest, AConnectionThatIsNotJudgedHasNoTopic) {
  const auto bytes = bytes_of(judged(ACTION_UNJUDGED, 0, 0), "");

  ASSERT_TRUE(read(bytes));
  EXPECT_FALSE(read(bytes)->topic());
}

TEST(RecordTest, NumbersThatContradictEachOtherAreRefused) {
  auto longer_than_the_record = bytes_of(judged(ACTION_LEARNED, 0, 3), "a/b");
  longer_than_the_record.pop_back();
  event many_options = judged(ACTION_LEARNED, 0, 3);
  many_options.options_len = sizeof(many_options.options) + 1;

  const std::pair<const char*, std::vector<std::uint8_t>> cases[] = {
      {"nothing", {}},
      {"less than a head", std::vector<std::uint8_t>(sizeof(event) - 1)},
      {"data_len", longer_than_the_record},
      {"topic_len", bytes_of(judged(ACTION_LEARNED, 0, 4), "a/b")},
      {"topic_offset", bytes_of(judged(ACTION_KEPT, 1, 3), "a/b")},
      {"sums that wrap", bytes_of(judged(ACTION_KEPT, 0xffff, 0xffff), "a/b")},
      {"a segment's topic", bytes_of(judged(ACTION_RESET, 2, 3, EVENT_SEGMENT), "a/b")},
      {"options_len", bytes_of(many_options, "a/b")},
      {"no action", bytes_of(judged(0, 0, 3), "a/b")},
      {"unknown action", bytes_of(judged(ACTION_END, 0, 3), "a/b")},
      {"an empty piece", bytes_of(judged(ACTION_PIECE, 0, 3), "")},
      {"a piece beyond its topic", bytes_of(judged(ACTION_PIECE, 1, 3), "a/b")},
  };
  for (const auto& [what, bytes] : cases) EXPECT_FALSE(read(bytes)) << what;
}

}  // namespace
}  // namespace remora
