// SPDX-License-Identifier: Apache-2.0
#include "bench/recipe.h"

#include <algorithm>
#include <array>

#include "tests/support/mqtt_packets.h"

namespace remora::bench {
namespace {

// More segments than may wait after a gap, and fewer than a window of TCP holds.
constexpr unsigned kMostSegments = 4500;
constexpr std::size_t kMostBytes = 2 << 20;
// Payload of the longest frame that XDP accepts in one piece, with most drivers.
constexpr unsigned kLongestSegment = 3400;
constexpr unsigned kFullSegment = 1448;
constexpr unsigned kLongestTopic = 1600;

unsigned draw(std::mt19937& random, unsigned least, unsigned most) {
  return least + static_cast<unsigned>(random()) % (most - least + 1);
}

// Draws small numbers as often as large ones.
unsigned draw_size(std::mt19937& random, unsigned least, unsigned most) {
  unsigned limit = least + 1;
  while (limit < most && random() % 3 != 0) limit *= 2;
  return draw(random, least, std::min(limit, most));
}

unsigned draw_segment_len(std::mt19937& random) {
  switch (random() % 4) {
    case 0:
      return kFullSegment;
    case 1:
      return kLongestSegment;
    default:
      return draw_size(random, 1, kLongestSegment);
  }
}

void change_one(Recipe& recipe, std::mt19937& random) {
  switch (random() % 12) {
    case 0:
      recipe.mqtt5 = random() % 2 == 0;
      break;
    case 1:
      recipe.is_ascii = random() % 2 == 0;
      break;
    case 2:
      recipe.order = static_cast<Order>(random() % kOrders);
      break;
    case 3:
      recipe.aliases = static_cast<Aliases>(random() % kAliasUses);
      break;
    case 4:
      recipe.topics = draw_size(random, 1, 4096);
      break;
    case 5:
      recipe.topic_len = draw_size(random, 1, kLongestTopic);
      break;
    case 6:
      recipe.levels = draw_size(random, 1, 64);
      break;
    case 7:
      recipe.message_len = draw_size(random, 0, 2000);
      break;
    case 8:
      recipe.properties = draw_size(random, 0, 700);
      break;
    case 9:
      recipe.others = draw_size(random, 0, 700);
      break;
    case 10:
      recipe.segment_len = draw_segment_len(random);
      break;
    default:
      recipe.segments = draw_size(random, 1, kMostSegments);
      break;
  }
}

// Topic `n`: slashes at its beginning, then letters that tell it from the others.
std::string topic(const Recipe& recipe, unsigned n) {
  const std::size_t slashes = std::min(recipe.levels, recipe.topic_len) - 1;
  std::string text(slashes, '/');
  while (text.size() + 2 <= recipe.topic_len && !recipe.is_ascii) {
    text += "\xc3";
    text += static_cast<char>(0x80 + n % 64);
    n /= 64;
  }
  while (text.size() < recipe.topic_len) {
    text += static_cast<char>('a' + n % 26);
    n /= 26;
  }
  return text;
}

Bytes publish(const Recipe& recipe, unsigned n) {
  constexpr std::uint8_t kPayloadFormat = 1, kTopicAlias = 35;
  const unsigned number = n % recipe.topics;
  std::string text = topic(recipe, number);
  PublishOptions options;
  if (recipe.mqtt5) {
    Bytes properties;
    for (unsigned i = 0; i < recipe.properties; i++)
      properties = properties + Bytes{kPayloadFormat, 0};
    const bool is_used =
        recipe.aliases == Aliases::kUsed || (recipe.aliases == Aliases::kSetAndUsed && n % 2 == 1);
    const unsigned set = recipe.aliases == Aliases::kSetAndUsed ? n / 2 : n;
    const bool is_known = is_used && n >= recipe.topics;
    if (recipe.aliases != Aliases::kNone) {
      const auto alias = static_cast<std::uint8_t>(1 + set % std::min(recipe.topics, 255U));
      properties = properties + Bytes{kTopicAlias, 0, alias};
      if (is_known) text.clear();
    }
    options.properties = std::move(properties);
  }
  return publish_packet(text, std::string(recipe.message_len, 'm'), options);
}

void append(Bytes& stream, const Bytes& packet) {
  stream.insert(stream.end(), packet.begin(), packet.end());
}

Bytes stream_of(const Recipe& recipe, std::size_t length) {
  Bytes stream;
  for (unsigned n = 0; stream.size() < length; n++) {
    append(stream, publish(recipe, n));
    for (unsigned i = 0; i < recipe.others && stream.size() < length; i++)
      append(stream, pingreq_packet());
  }
  stream.resize(length);
  return stream;
}

std::vector<std::size_t> arrivals(Order order, std::size_t count) {
  std::vector<std::size_t> at(count);
  for (std::size_t i = 0; i < count; i++) at[i] = i;
  switch (order) {
    case Order::kInOrder:
      break;
    case Order::kAscending:
      std::rotate(at.begin(), at.begin() + 1, at.end());
      break;
    case Order::kDescending:
      std::reverse(at.begin(), at.end());
      break;
    case Order::kInward: {
      std::vector<std::size_t> inward;
      for (std::size_t low = 1, high = count - 1; low <= high; low++, high--) {
        inward.push_back(low);
        if (low != high) inward.push_back(high);
      }
      inward.push_back(0);
      at = std::move(inward);
      break;
    }
    case Order::kShuffled: {
      std::mt19937 random(1);
      std::shuffle(at.begin(), at.end(), random);
      break;
    }
    case Order::kSwapped:
      for (std::size_t i = 0; i + 1 < count; i += 2) std::swap(at[i], at[i + 1]);
      break;
  }
  return at;
}

}  // namespace

std::string to_string(const Recipe& recipe) {
  static constexpr std::array kOrderNames = {"in order", "ascending", "descending",
                                             "inward",   "shuffled",  "swapped"};
  static constexpr std::array kAliasNames = {"", ", aliases set", ", aliases used",
                                             ", aliases set and used"};
  std::string text =
      std::to_string(recipe.segments) + " segments of " + std::to_string(recipe.segment_len) +
      " bytes, " + kOrderNames.at(static_cast<std::size_t>(recipe.order)) + "; " +
      std::to_string(recipe.topics) + " topics of " + std::to_string(recipe.topic_len) +
      " bytes, " + std::to_string(recipe.levels) + " levels";
  if (!recipe.is_ascii) text += ", not ASCII";
  text += ", messages of " + std::to_string(recipe.message_len);
  if (recipe.mqtt5) {
    text += ", MQTT 5";
    text += kAliasNames.at(static_cast<std::size_t>(recipe.aliases));
    if (recipe.properties > 0) text += ", " + std::to_string(recipe.properties) + " properties";
  }
  if (recipe.others > 0) text += ", " + std::to_string(recipe.others) + " PINGREQ after each";
  return text;
}

Recipe random_recipe(std::mt19937& random) {
  Recipe recipe;
  for (int i = 0; i < 40; i++) change_one(recipe, random);
  return recipe;
}

Recipe variant_of(Recipe recipe, std::mt19937& random) {
  do change_one(recipe, random);
  while (random() % 2 == 0);
  return recipe;
}

std::vector<Segment> segments_of(const Recipe& recipe, Client& client) {
  const std::size_t count =
      std::clamp<std::size_t>(kMostBytes / recipe.segment_len, 1, recipe.segments);
  const Bytes stream = stream_of(recipe, count * recipe.segment_len);
  const std::uint32_t begin = client.sent();
  std::vector<Segment> segments;
  for (const std::size_t i : arrivals(recipe.order, count)) {
    const auto at = stream.begin() + static_cast<std::ptrdiff_t>(i * recipe.segment_len);
    segments.push_back(client.at(begin + static_cast<std::uint32_t>(i * recipe.segment_len),
                                 Bytes(at, at + recipe.segment_len)));
  }
  client.skip(static_cast<std::uint32_t>(stream.size()));
  return segments;
}

}  // namespace remora::bench
