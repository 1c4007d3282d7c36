// SPDX-License-Identifier: Apache-2.0
#include "bpf/topic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "daemon/mqtt/topic_filter.h"
#include "tests/support/topics.h"

namespace remora {
namespace {

constexpr std::uint32_t kSeed = 11;

class TopicHashTest : public testing::Test {
 protected:
  TopicHashTest() : keys_(std::make_unique<topic_keys>()) { *keys_ = random_topic_keys(kSeed); }

  // `behind` fills the rest of the topic's last word, as an older topic would.
  static std::vector<__u64> words_of(std::string_view topic, std::uint8_t behind = 0) {
    std::vector<__u64> words(topic.size() / 8 + 1);
    std::memset(words.data(), behind, words.size() * 8);
    std::memcpy(words.data(), topic.data(), topic.size());
    return words;
  }

  std::uint64_t hash(std::string_view topic, std::uint8_t behind = 0) const {
    return topic_hash(keys_.get(), words_of(topic, behind).data(),
                      static_cast<std::uint32_t>(topic.size()));
  }

  std::unique_ptr<topic_keys> keys_;
};

std::string random_topic(std::mt19937& random, std::size_t length) {
  constexpr std::string_view kLetters = "abc/de/f";
  std::string topic(length, ' ');
  for (char& c : topic) c = kLetters[random() % kLetters.size()];
  return topic;
}

TEST_F(TopicHashTest, SameTopicSameHash) {
  EXPECT_EQ(hash("measurements/temperature"), hash("measurements/temperature"));
  EXPECT_NE(hash("measurements/temperature"), hash("measurements/humidity"));
}

TEST_F(TopicHashTest, WhatLiesBehindTheTopicDoesNotCount) {
  for (std::size_t length = 1; length <= 40; length++) {
    const std::string topic(length, 't');
    EXPECT_EQ(hash(topic, 0x00), hash(topic, 0xff)) << length;
  }
}

TEST_F(TopicHashTest, ZeroPaddingIsNotTheSameTopic) {
  EXPECT_NE(hash("a"), hash(std::string_view("a\0", 2)));
  EXPECT_NE(hash("abcdefgh"), hash(std::string_view("abcdefgh\0\0\0\0\0\0\0\0", 16)));
  EXPECT_NE(hash(""), hash(std::string_view("\0", 1)));
}

TEST_F(TopicHashTest, EveryByteAndEveryPositionCounts) {
  std::set<std::uint64_t> seen;
  std::string topic(64, 'a');
  seen.insert(hash(topic));
  for (char& c : topic) {
    c = 'b';
    EXPECT_TRUE(seen.insert(hash(topic)).second) << topic;
    c = 'a';
  }
  for (std::size_t length = 0; length < 64; length++)
    EXPECT_TRUE(seen.insert(hash(topic.substr(0, length))).second) << length;
}

// Both halves of the hash use the same keys, one word apart.
TEST_F(TopicHashTest, WordsThatChangePlacesAreAnotherTopic) {
  const std::string_view words[] = {"measured", "/in/room", "/of/what", "/and/why"};
  std::set<std::uint64_t> hashes;
  for (const auto first : words)
    for (const auto second : words)
      for (const auto third : words)
        hashes.insert(hash(std::string(first).append(second).append(third)));
  EXPECT_EQ(hashes.size(), 64u);

  hashes.clear();
  std::string padded("measured");
  for (int shifted = 0; shifted < 20; ++shifted) {
    hashes.insert(hash(padded + std::string(8 * (20 - shifted), '\0')));
    padded.insert(0, 8, '\0');
  }
  EXPECT_EQ(hashes.size(), 20u);
}

TEST_F(TopicHashTest, ManyTopicsNeverCollide) {
  std::mt19937 random(kSeed);
  std::set<std::string> topics;
  std::set<std::uint64_t> hashes;
  for (int i = 0; i < 50'000; i++) topics.insert(random_topic(random, 1 + random() % 40));
  for (const std::string& topic : topics) hashes.insert(hash(topic));
  EXPECT_EQ(hashes.size(), topics.size()) << "seed " << kSeed;
}

TEST_F(TopicHashTest, OtherKeysOtherHashes) {
  const topic_keys other = random_topic_keys(kSeed + 1);
  EXPECT_NE(topic_hash(&other, words_of("a/b").data(), 3), hash("a/b"));
}

TEST_F(TopicHashTest, IsNeverZero) {
  *keys_ = {};  // every sum is 0
  EXPECT_EQ(hash(""), 1u);
}

TEST_F(TopicHashTest, TheLongestTopicHasAHash) {
  const std::string longest(MAX_TOPIC, 'x');
  std::string other = longest;
  other.back() = 'y';
  EXPECT_NE(hash(longest), hash(other));
  EXPECT_NE(hash(longest), hash(longest.substr(0, MAX_TOPIC - 1)));
}

// ---- levels and shapes ----------------------------------------------------------

class ShapeTest : public TopicHashTest {
 protected:
  // Splits a topic in the scratch memory as the kernel does; `behind` as in words_of().
  topic_levels split(std::string_view text, std::uint32_t reach, std::uint8_t behind = 0) const {
    std::string bytes(text);
    bytes.append(8, static_cast<char>(behind));
    topic_levels levels{};
    level_begin(keys_.get(), &levels);
    std::uint32_t steps = 0;
    const auto len = static_cast<std::uint32_t>(text.size());
    for (bool over = false; !over; ++steps) {
      __u64 window;
      std::memcpy(&window, bytes.data() + levels.at, sizeof(window));
      over = level_step(keys_.get(), &levels, window, len, reach) != 0;
    }
    if (len <= MAX_TOPIC) {
      EXPECT_LE(steps, static_cast<unsigned>(LEVEL_STEPS));
    }
    return levels;
  }

  std::uint64_t through(const topic_shape& shape, std::string_view topic) const {
    const topic_levels levels = split(topic, MAX_LEVELS);
    return shape_hash(keys_.get(), &shape, &levels);
  }
};

std::vector<std::string> levels_of(std::string_view text) {
  std::vector<std::string> levels(1);
  for (const char c : text) {
    if (c == '/')
      levels.emplace_back();
    else
      levels.back() += c;
  }
  return levels;
}

TEST_F(ShapeTest, EachLevelIsHashedByItself) {
  TopicMaker make(kSeed);
  for (int round = 0; round < 3000; round++) {
    const std::string topic = make.topic(40);
    const std::vector<std::string> expected = levels_of(topic);
    const std::uint32_t reach = 1 + make.number() % MAX_LEVELS;
    const std::uint8_t behind = make.number() % 2 != 0 ? '/' : 0xff;
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << ", '" << topic << "' to " << reach);

    const topic_levels levels = split(topic, reach, behind);

    ASSERT_EQ(levels.count, std::min<std::size_t>(expected.size(), reach + 1));
    for (std::size_t i = 0; i < std::min<std::size_t>(levels.count, reach); i++)
      ASSERT_EQ(levels.hash[i], hash(expected[i])) << i;
  }
}

TEST_F(ShapeTest, TheLongestTopicsAreSplitInTime) {
  EXPECT_EQ(split(std::string(MAX_TOPIC, 'x'), MAX_LEVELS).count, 1u);
  EXPECT_EQ(split(std::string(MAX_TOPIC, '/'), MAX_LEVELS).count, MAX_LEVELS + 1u);
  EXPECT_EQ(split(std::string(31, '/') + std::string(MAX_TOPIC - 31, 'x'), MAX_LEVELS).count, 32u);
  std::string sevens;
  while (sevens.size() < MAX_TOPIC) sevens += "seven77/";
  EXPECT_EQ(split(sevens.substr(0, MAX_TOPIC), MAX_LEVELS).count, MAX_LEVELS + 1u);
}

// Only in user space: the words beyond MAX_TOPIC have no keys, but the length counts.
TEST_F(ShapeTest, ALevelThatIsTooLongIsLikeNoOther) {
  const std::string longest(MAX_TOPIC, 'x');
  EXPECT_NE(split(longest + "xxx/a", 2).hash[0], split(longest + "/a", 2).hash[0]);
  EXPECT_EQ(split(longest + "xxx/a", 2).count, 2u);
}

TEST_F(ShapeTest, FitsByTheNumberOfLevels) {
  const topic_shape two{.plus = 2, .levels = 2, .rest = 0, .pad = 0};       // a/+
  const topic_shape two_rest{.plus = 2, .levels = 2, .rest = 1, .pad = 0};  // a/+/#
  const struct {
    std::uint32_t levels;
    bool two, two_rest;
  } cases[] = {{1, false, false}, {2, true, true}, {3, false, true}, {33, false, true}};
  for (const auto& [levels, fits_two, fits_rest] : cases) {
    EXPECT_EQ(shape_fits(&two, levels, 0) != 0, fits_two) << levels;
    EXPECT_EQ(shape_fits(&two_rest, levels, 0) != 0, fits_rest) << levels;
  }
}

TEST_F(ShapeTest, AWildcardInFrontDoesNotFitDollarTopics) {
  const topic_shape all{.plus = 0, .levels = 0, .rest = 1, .pad = 0};         // #
  const topic_shape plus_first{.plus = 1, .levels = 2, .rest = 0, .pad = 0};  // +/a
  const topic_shape plus_later{.plus = 2, .levels = 2, .rest = 0, .pad = 0};  // a/+
  EXPECT_TRUE(shape_fits(&all, 2, 0));
  EXPECT_FALSE(shape_fits(&all, 2, 1));
  EXPECT_TRUE(shape_fits(&plus_first, 2, 0));
  EXPECT_FALSE(shape_fits(&plus_first, 2, 1));
  EXPECT_TRUE(shape_fits(&plus_later, 2, 1));
}

TEST_F(ShapeTest, OnlyTheLiteralLevelsOfAShapeCount) {
  const topic_shape shape{.plus = 0b010, .levels = 3, .rest = 1, .pad = 0};  // a/+/c/#
  const std::uint64_t filter = through(shape, "a/+/c/#");

  EXPECT_EQ(through(shape, "a/b/c"), filter);
  EXPECT_EQ(through(shape, "a//c/d/e"), filter);
  for (const auto* other : {"a/b/d", "b/b/c", "c/b/a", "a/b/", "/b/c", "ac/b/", "a/c/b"})
    EXPECT_NE(through(shape, other), filter) << other;
}

TEST_F(ShapeTest, EveryLevelCountsInItsPlace) {
  const topic_shape all{.plus = 0, .levels = MAX_LEVELS, .rest = 0, .pad = 0};
  std::set<std::uint64_t> seen;
  for (int place = 0; place < MAX_LEVELS; place++) {
    std::string topic = "a";
    for (int level = 1; level < MAX_LEVELS; level++) topic += level == place ? "/b" : "/a";
    if (place == 0) topic[0] = 'b';
    EXPECT_TRUE(seen.insert(through(all, topic)).second) << topic;
  }
}

// ---- what a topic name may contain -----------------------------------------------------

TEST(TopicBytesTest, EveryInvalidByteIsMarkedInItsPlace) {
  for (int place = 0; place < 8; place++) {
    for (unsigned value = 0; value < 256; value++) {
      std::uint64_t word = BYTES('a') & ~(std::uint64_t{0xff} << 8 * place);
      word |= std::uint64_t{value} << 8 * place;
      const bool invalid = value == '+' || value == '#' || value == 0;
      EXPECT_EQ(invalid_bytes(word), invalid ? std::uint64_t{0x80} << 8 * place : 0)
          << value << " at " << place;
    }
  }
}

// The carries of a neighbouring byte must not mark an innocent one.
TEST(TopicBytesTest, BytesEqualIsExactForAnyNeighbours) {
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 100'000; round++) {
    std::uint64_t word = random();
    const auto value = static_cast<std::uint8_t>(random());
    for (int place = 0; place < 8; place++)  // make it likely
      if (random() % 3 == 0) {
        word &= ~(std::uint64_t{0xff} << 8 * place);
        word |= (std::uint64_t{value} ^ (random() % 2)) << 8 * place;
      }
    std::uint64_t expected = 0;
    for (int place = 0; place < 8; place++)
      if ((word >> 8 * place & 0xff) == value) expected |= std::uint64_t{0x80} << 8 * place;
    ASSERT_EQ(bytes_equal(word, value), expected) << std::hex << word << " " << int{value};
  }
}

TEST(TopicBytesTest, BytesBeforeFindsTheFirst) {
  EXPECT_EQ(bytes_before(0), 8u);
  for (std::uint32_t place = 0; place < 8; place++) {
    const std::uint64_t found = std::uint64_t{0x80} << 8 * place;
    EXPECT_EQ(bytes_before(found), place);
    EXPECT_EQ(bytes_before(found | std::uint64_t{0x80} << 56), place);
  }
}

TEST(TopicBytesTest, FirstBytesKeepsThatMany) {
  const std::uint64_t word = 0x8877665544332211;
  EXPECT_EQ(first_bytes(word, 0), 0u);
  EXPECT_EQ(first_bytes(word, 1), 0x11u);
  EXPECT_EQ(first_bytes(word, 7), 0x77665544332211u);
}

// Decides as the kernel does.
bool is_valid(std::string_view topic, std::uint8_t behind = 0xff) {
  std::vector<__u64> words(topic.size() / 8 + 1);
  std::memset(words.data(), behind, words.size() * 8);
  std::memcpy(words.data(), topic.data(), topic.size());
  const auto len = static_cast<std::uint32_t>(topic.size());
  const topic_check check = check_topic(words.data(), len);
  if (check != TOPIC_NOT_ASCII) return check == TOPIC_GOOD;
  utf8_check text{};
  for (std::uint32_t i = 0; i < UTF8_STEPS(len); i++) utf8_step(&text, words.data(), i, len);
  return text.bad == 0;
}

TEST(TopicNameTest, NoWildcardAndNoNulAnywhere) {
  for (std::size_t length = 1; length <= 20; length++) {
    const std::string topic(length, 'a');
    EXPECT_TRUE(is_valid(topic, 0x00)) << length;
    EXPECT_TRUE(is_valid(topic, '#')) << length;
    for (std::size_t place = 0; place < length; place++) {
      for (const char bad : {'+', '#', '\0'}) {
        std::string other = topic;
        other[place] = bad;
        EXPECT_FALSE(is_valid(other)) << length << " " << place;
        other.back() = '\xc3';  // nor in a topic that is not ASCII
        other.push_back('\xa9');
        if (place + 1 < length) {
          EXPECT_FALSE(is_valid(other)) << length << " " << place;
        }
      }
    }
  }
  EXPECT_FALSE(is_valid(""));
  EXPECT_TRUE(is_valid(std::string(MAX_TOPIC, 'a')));
  EXPECT_FALSE(is_valid(std::string(MAX_TOPIC - 1, 'a') + '#'));
}

// Every lead byte with every second byte and the edges of the ranges after them, at several
// places, one of them across two words.
TEST(TopicNameTest, Utf8IsThatOfTheDaemon) {
  constexpr std::string_view kEdges = "a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc2\xf0";
  std::string text;
  for (const std::size_t in_front : {0u, 6u, 1530u}) {
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
      for (unsigned second = 1; second < 0x100; second++) {
        for (const char third : kEdges) {
          for (const char fourth : kEdges) {
            text.assign(in_front, 'a');
            text += static_cast<char>(lead);
            text += static_cast<char>(second);
            text += third;
            text += fourth;
            ASSERT_EQ(is_valid(text), !topic_problem(text)) << testing::PrintToString(text);
            if (in_front == 1530) break;
          }
        }
        text.resize(in_front + 2);
        ASSERT_EQ(is_valid(text), !topic_problem(text)) << testing::PrintToString(text);
      }
      text.resize(in_front + 1);
      ASSERT_EQ(is_valid(text), !topic_problem(text)) << testing::PrintToString(text);
    }
  }
}

TEST(TopicNameTest, RandomTextIsJudgedAsByTheDaemon) {
  constexpr std::string_view kPieces[] = {"a",
                                          "/",
                                          "\xc3\xa9",
                                          "\xe2\x82\xac",
                                          "\xed\x9f\xbf",
                                          "\xef\xbf\xbf",
                                          "\xf4\x8f\xbf\xbf",
                                          "\xf0\x90\x80\x80"};
  std::mt19937 random(kSeed);
  int valid = 0;
  for (int round = 0; round < 200'000; round++) {
    std::string text;
    for (auto pieces = 1 + random() % 12; pieces > 0; pieces--)
      text += kPieces[random() % std::size(kPieces)];
    if (random() % 2 != 0) text[random() % text.size()] = static_cast<char>(random());
    if (random() % 4 == 0) text.resize(1 + random() % text.size());
    const bool expected = !topic_problem(text);
    valid += expected;
    ASSERT_EQ(is_valid(text), expected) << "seed " << kSeed << " " << testing::PrintToString(text);
  }
  EXPECT_GT(valid, 50'000);
  EXPECT_LT(valid, 150'000);
}

}  // namespace
}  // namespace remora
