// SPDX-License-Identifier: Apache-2.0
//
// Random topics, filters and keys, and a plain choice of the route: the rule of docs/config.md
// applied to all routes, with a matcher that follows the standard word by word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/abi.h"
#include "daemon/config/config.h"
#include "daemon/mqtt/topic_filter.h"

namespace remora {

inline topic_keys random_topic_keys(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  topic_keys keys;
  for (auto& key : keys.start) key = random();
  for (auto& key : keys.length) key = random();
  for (auto& key : keys.word) key = random();
  for (auto& key : keys.level) key = random();
  return keys;
}

// One digit per level: 0 a name, 1 `+`, 2 `#`. The route whose filter has the lowest word wins.
inline std::string ranks_of(std::string_view filter) {
  std::string ranks;
  std::string level;
  const auto end_level = [&] {
    ranks += level == "#" ? '2' : level == "+" ? '1' : '0';
    level.clear();
  };
  for (const char c : filter) {
    if (c == '/')
      end_level();
    else
      level += c;
  }
  end_level();
  return ranks;
}

// The route of `routes` that the topic belongs to; null: none matches.
inline const Route* plain_choice(const std::vector<Route>& routes, std::string_view topic) {
  const Route* best = nullptr;
  for (const Route& route : routes) {
    if (!filter_matches(route.filter, topic)) continue;
    if (best == nullptr || ranks_of(route.filter) < ranks_of(best->filter)) best = &route;
  }
  return best;
}

// Topics and filters with few different levels, so that they often match: empty levels, `$`, names
// shorter and longer than a word, letters of two to four bytes.
class TopicMaker {
 public:
  explicit TopicMaker(std::uint32_t seed) : random_(seed) {}

  // A topic with 1 to `most` levels, mostly few.
  std::string topic(std::size_t most) {
    for (;;) {
      std::string text = name();
      for (std::size_t more = levels(most); more > 1; --more) text += '/' + name();
      if (!text.empty()) return text;
    }
  }

  // A topic filter: the same with `+` in place of some names, and maybe `#` at the end.
  std::string filter(std::size_t most) {
    for (;;) {
      std::string text = name_or_plus();
      for (std::size_t more = levels(most); more > 1; --more) text += '/' + name_or_plus();
      if (chance(3)) text += "/#";
      if (chance(20)) text = "#";
      if (!text.empty()) return text;
    }
  }

  std::uint32_t number() { return static_cast<std::uint32_t>(random_()); }

 private:
  bool chance(std::uint32_t of) { return random_() % of == 0; }

  std::size_t levels(std::size_t most) {
    const std::size_t few = most < 5 ? most : 5;
    return 1 + random_() % (chance(4) ? most : few);
  }

  std::string name() {
    constexpr std::string_view kNames[] = {"a",
                                           "a",
                                           "a",
                                           "b",
                                           "b",
                                           "",
                                           "$x",
                                           "seven77",
                                           "eightfit",
                                           "a-level-of-several-words",
                                           "\xc3\xa9t\xc3\xa9",
                                           "\xf0\x9f\xa6\x88"};
    return std::string(kNames[random_() % std::size(kNames)]);
  }

  std::string name_or_plus() { return chance(3) ? "+" : name(); }

  std::mt19937 random_;
};

}  // namespace remora
