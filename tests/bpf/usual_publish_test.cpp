// SPDX-License-Identifier: Apache-2.0
//
// find_usual() reads a usual segment without a walk; the walk must find the same.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "bpf/mqtt.h"
#include "tests/support/seeds.h"

namespace remora {
namespace {

constexpr std::uint32_t kSeq = 0xfffffff0;  // wraps within most segments

// Segments that are usual or nearly so: a PUBLISH or another packet, lengths that fit or
// not, QoS 0 to 3.
std::vector<std::uint8_t> any_segment(std::mt19937& random) {
  std::vector<std::uint8_t> bytes(8 + random() % 300);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random() % 4 ? 'a' : 0);
  bytes[0] = static_cast<std::uint8_t>((random() % 8 ? 0x30 : random() & 0xf0) | random() % 16);
  std::size_t remaining = bytes.size() - 2;
  std::size_t at = 2;
  bytes[1] = static_cast<std::uint8_t>(remaining);
  if (bytes.size() > 129) {
    remaining = bytes.size() - 3;
    bytes[1] = static_cast<std::uint8_t>(remaining | 0x80);
    bytes[2] = static_cast<std::uint8_t>(remaining >> 7);
    at = 3;
  }
  if (random() % 16 == 0) bytes[1]++;
  bytes[at] = 0;
  bytes[at + 1] = static_cast<std::uint8_t>(random() % (random() % 8 ? remaining : 256));
  return bytes;
}

TEST(UsualPublishTest, IsWhatTheWalkFinds) {
  const Seeds wanted = seeds(200'000);
  std::uint32_t usual = 0, of_mqtt5 = 0;
  for (std::uint32_t seed = wanted.first; seed < wanted.first + wanted.rounds; seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const std::vector<std::uint8_t> segment = any_segment(random);
    const auto len = static_cast<std::uint32_t>(segment.size());
    stream stream{};
    stream_begin(&stream, kSeq);
    stream.flags = static_cast<__u8>(STREAM_CONNECTED | (random() % 2 ? STREAM_MQTT5 : 0));
    const auto window_at = [&](std::uint32_t offset) {
      __u64 window = 0;
      std::memcpy(&window, segment.data() + offset, std::min<std::size_t>(8, len - offset));
      return window;
    };
    usual_publish publish{};
    if (!is_usual_publish(&stream, kSeq, len, window_at(0), &publish)) continue;
    if (publish.properties && segment[publish.properties] != 0) continue;
    ASSERT_LT(segment[0] & 0x06, 0x04) << "the walk counts those of QoS 2";
    usual++;
    of_mqtt5 += publish.properties != 0;

    found found{};
    walk_find result = FOUND_NOTHING;
    while (result == FOUND_NOTHING) {
      const std::uint32_t offset = stream_wants(&stream) - kSeq;
      ASSERT_LT(offset, len);
      result = walk_step(&stream, kSeq, len, window_at(offset), std::min(8u, len - offset), &found);
    }

    ASSERT_EQ(result, FOUND_PUBLISH);
    ASSERT_EQ(found.topic_offset, static_cast<__s32>(publish.topic));
    ASSERT_EQ(found.topic_len, publish.topic_len);
    ASSERT_EQ(found.alias, 0);
    ASSERT_EQ(stream.next, kSeq + len);
    ASSERT_EQ(stream.phase, STREAM_HEADER);
    ASSERT_EQ(stream.kept_len, 0);
  }
  if (wanted.rounds == 1) return;
  EXPECT_GT(usual, wanted.rounds / 10);
  EXPECT_GT(of_mqtt5, wanted.rounds / 100);
}

TEST(UsualPublishTest, NothingElseIsOne) {
  const __u64 window = 0x6161610100'05'30;  // 30 05 00 01 61 61 61
  stream at_header{};
  stream_begin(&at_header, kSeq);
  usual_publish publish{};
  EXPECT_TRUE(is_usual_publish(&at_header, kSeq, 7, window, &publish));

  EXPECT_FALSE(is_usual_publish(&at_header, kSeq + 1, 7, window, &publish)) << "not the next byte";
  EXPECT_FALSE(is_usual_publish(&at_header, kSeq, 7, window | 0x04, &publish)) << "QoS 2";
  EXPECT_FALSE(is_usual_publish(&at_header, kSeq, 8, window, &publish)) << "one more packet";
  EXPECT_FALSE(is_usual_publish(&at_header, kSeq, 6, window, &publish)) << "cut";
  stream other = at_header;
  other.blind = 1;
  EXPECT_FALSE(is_usual_publish(&other, kSeq, 7, window, &publish)) << "blind";
  other = at_header;
  other.kept_len = 1;
  EXPECT_FALSE(is_usual_publish(&other, kSeq, 7, window, &publish)) << "a cut field";
  other = at_header;
  other.phase = STREAM_TOPIC;
  EXPECT_FALSE(is_usual_publish(&other, kSeq, 7, window, &publish)) << "within a packet";
}

}  // namespace
}  // namespace remora
