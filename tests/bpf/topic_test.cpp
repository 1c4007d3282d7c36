// SPDX-License-Identifier: Apache-2.0
#include "bpf/topic.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace remora {
namespace {

constexpr std::uint32_t kSeed = 11;

class TopicHashTest : public testing::Test {
 protected:
  TopicHashTest() : keys_(std::make_unique<topic_keys>()) { *keys_ = random_keys(kSeed); }

  static topic_keys random_keys(std::uint32_t seed) {
    std::mt19937_64 random(seed);
    topic_keys keys;
    for (auto& key : keys.start) key = random();
    for (auto& key : keys.length) key = random();
    for (auto& word : keys.word)
      for (auto& key : word) key = random();
    return keys;
  }

  // `behind` fills the last word behind the topic, as an older topic would.
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

TEST_F(TopicHashTest, ManyTopicsNeverCollide) {
  std::mt19937 random(kSeed);
  std::set<std::string> topics;
  std::set<std::uint64_t> hashes;
  for (int i = 0; i < 50'000; i++) topics.insert(random_topic(random, 1 + random() % 40));
  for (const std::string& topic : topics) hashes.insert(hash(topic));
  EXPECT_EQ(hashes.size(), topics.size()) << "seed " << kSeed;
}

TEST_F(TopicHashTest, OtherKeysOtherHashes) {
  const topic_keys other = random_keys(kSeed + 1);
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

// What the kernel does with the separators of a topic: the sum in front of a word,
// and the part of the word in front of the separator.
TEST_F(TopicHashTest, TheSumsOfAPrefixAreItsHash) {
  std::mt19937 random(kSeed);
  for (int round = 0; round < 300; round++) {
    const std::string topic = random_topic(random, 1 + random() % 200);
    const std::vector<__u64> words = words_of(topic);
    topic_sum running;
    sum_begin(keys_.get(), &running);
    for (std::uint32_t length = 0; length <= topic.size(); length++) {
      topic_sum sum = running;
      if (length % 8 != 0)
        sum_word(keys_.get(), &sum, length / 8, first_bytes(words[length / 8], length % 8));
      ASSERT_EQ(sum_hash(keys_.get(), &sum, length), hash(topic.substr(0, length)))
          << "seed " << kSeed << ", '" << topic << "' up to " << length;
      if (length % 8 == 7) sum_word(keys_.get(), &running, length / 8, words[length / 8]);
    }
  }
}

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

TEST(TopicBytesTest, FirstBytesKeepsThatMany) {
  const std::uint64_t word = 0x8877665544332211;
  EXPECT_EQ(first_bytes(word, 0), 0u);
  EXPECT_EQ(first_bytes(word, 1), 0x11u);
  EXPECT_EQ(first_bytes(word, 7), 0x77665544332211u);
}

}  // namespace
}  // namespace remora
