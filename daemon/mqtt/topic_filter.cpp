// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/topic_filter.h"

#include <cstddef>

namespace remora {
namespace {

// Splits text into levels: takes the next level and its slash off `rest`. `more` tells whether
// there was a slash, and so another level.
struct Levels {
  std::string_view rest;
  bool more = true;

  std::string_view next() {
    const std::size_t slash = rest.find('/');
    const std::string_view level = rest.substr(0, slash);
    more = slash != std::string_view::npos;
    rest = more ? rest.substr(slash + 1) : std::string_view();
    return level;
  }
};

// Checks the rules for names and filters alike.
std::optional<std::string> string_problem(std::string_view text) {
  if (text.empty()) return "it is empty: it needs at least one character (MQTT 5.0 §4.7.3)";
  if (text.size() > kMaxFilterBytes)
    return "it has " + std::to_string(text.size()) +
           " bytes: at most 65535 are possible (MQTT 5.0 §4.7.3)";
  if (text.find('\0') != std::string_view::npos)
    return "it contains the character U+0000, which is not allowed (MQTT 5.0 §4.7.3)";
  if (!is_utf8(text)) return "it is not valid UTF-8 (MQTT 5.0 §1.5.4)";
  return std::nullopt;
}

// A wildcard is a whole level.
int rank_of(std::string_view level) {
  if (level == "#") return 2;
  return level == "+" ? 1 : 0;
}

}  // namespace

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    std::size_t tail = 0;
    unsigned char lowest = 0x80;  // of the first continuation byte
    unsigned char highest = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
      tail = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      tail = 2;
      if (lead == 0xe0) lowest = 0xa0;
      if (lead == 0xed) highest = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      tail = 3;
      if (lead == 0xf0) lowest = 0x90;
      if (lead == 0xf4) highest = 0x8f;
    } else {
      return false;
    }
    for (; tail > 0; --tail, ++i) {
      if (i == text.size()) return false;
      const auto byte = static_cast<unsigned char>(text[i]);
      if (byte < lowest || byte > highest) return false;
      lowest = 0x80;
      highest = 0xbf;
    }
  }
  return true;
}

std::optional<std::string> filter_problem(std::string_view filter) {
  if (auto problem = string_problem(filter)) return problem;
  Levels levels{filter};
  while (levels.more) {
    const std::string_view level = levels.next();
    if (level.find('#') != std::string_view::npos) {
      if (level != "#") return "`#` must be a whole level, as in `a/#` (MQTT 5.0 §4.7.1.2)";
      if (levels.more) return "`#` must be the last level, as in `a/#` (MQTT 5.0 §4.7.1.2)";
    }
    if (level.find('+') != std::string_view::npos && level != "+")
      return "`+` must be a whole level, as in `a/+/b` (MQTT 5.0 §4.7.1.3)";
  }
  return std::nullopt;
}

std::optional<std::string> topic_problem(std::string_view topic) {
  if (auto problem = string_problem(topic)) return problem;
  if (topic.find_first_of("+#") != std::string_view::npos)
    return "it has a wildcard, which only a topic filter may have (MQTT 5.0 §4.7.1)";
  return std::nullopt;
}

bool has_wildcard(std::string_view filter) {
  return filter.find_first_of("+#") != std::string_view::npos;
}

bool is_more_specific(std::string_view left, std::string_view right) {
  Levels left_levels{left};
  Levels right_levels{right};
  while (left_levels.more && right_levels.more) {
    const int left_rank = rank_of(left_levels.next());
    const int right_rank = rank_of(right_levels.next());
    if (left_rank != right_rank) return left_rank < right_rank;
  }
  // `a` before `a/#`.
  return !left_levels.more && right_levels.more;
}

bool filter_matches(std::string_view filter, std::string_view topic) {
  // §4.7.2: a wildcard at the beginning does not match the server's own topics.
  const bool begins_with_wildcard = filter.starts_with('#') || filter.starts_with('+');
  if (begins_with_wildcard && topic.starts_with('$')) return false;

  Levels wanted{filter};
  Levels given{topic};
  while (wanted.more) {
    const std::string_view level = wanted.next();
    // §4.7.1.2: `#` stands for any number of further levels, including none. After the topic's end
    // this is the child of its last level, which matches as the parent.
    if (level == "#") return true;
    if (!given.more) return false;
    const std::string_view name = given.next();
    if (level != "+" && level != name) return false;
  }
  return !given.more;
}

}  // namespace remora
