// SPDX-License-Identifier: Apache-2.0
//
// A filter and a topic, one a line: what is valid, and what matches, against a
// matcher that follows the definition by recursion. The bytes that the kernel
// refuses in a topic are among those that the daemon refuses.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/topic.h"
#include "daemon/topic_filter.h"

namespace remora {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "topic_fuzz: " << what << '\n';
  std::abort();
}

using Levels = std::vector<std::string_view>;

Levels split(std::string_view text) {
  Levels levels;
  for (std::size_t slash; (slash = text.find('/')) != text.npos; text.remove_prefix(slash + 1))
    levels.push_back(text.substr(0, slash));
  levels.push_back(text);
  return levels;
}

// MQTT 5.0 §4.7.1: `#` stands for any number of levels, none included; `+` for one.
bool levels_match(const Levels& filter, std::size_t f, const Levels& topic, std::size_t t) {
  if (f == filter.size()) return t == topic.size();
  if (filter[f] == "#") return true;
  if (t == topic.size()) return false;
  return (filter[f] == "+" || filter[f] == topic[t]) && levels_match(filter, f + 1, topic, t + 1);
}

bool plainly_matches(std::string_view filter, std::string_view topic) {
  const bool leading_wildcard = filter.front() == '#' || filter.front() == '+';
  if (topic.front() == '$' && leading_wildcard) return false;
  return levels_match(split(filter), 0, split(topic), 0);
}

bool kernel_refuses(std::string_view topic) {
  for (std::size_t at = 0; at < topic.size(); at += 8) {
    __u64 word = ~0ull;  // no invalid byte behind the topic
    const std::string_view bytes = topic.substr(at, 8);
    std::memcpy(&word, bytes.data(), bytes.size());
    if (invalid_bytes(word)) return true;
  }
  return false;
}

void check(std::string_view input) {
  const std::size_t end = input.find('\n');
  if (end == input.npos) return;
  const std::string_view filter = input.substr(0, end), topic = input.substr(end + 1);

  const bool topic_is_valid = !topic_problem(topic);
  if (topic_is_valid) {
    require(!kernel_refuses(topic), "the kernel refuses a valid topic");
    require(!filter_problem(topic), "a topic is a filter for itself");
    require(filter_matches(topic, topic), "a topic does not match itself");
    require(levels_of(topic) == split(topic).size(), "levels");
  }
  if (filter_problem(filter)) return;
  const FilterKind kind = kind_of(filter);
  if (kind == FilterKind::kPrefix)
    require(std::string(prefix_of(filter)) + "/#" == filter, "the prefix of a filter");
  if (kind == FilterKind::kExact) require(!topic_problem(filter), "an exact filter is a topic");
  if (topic_is_valid)
    require(filter_matches(filter, topic) == plainly_matches(filter, topic), "the match");
}

}  // namespace
}  // namespace remora

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  remora::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
