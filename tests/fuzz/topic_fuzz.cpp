// SPDX-License-Identifier: Apache-2.0
//
// Filters and a topic, one per line. Checks which are valid and which match, against a matcher
// that follows the definition by recursion; which filter wins; and that kernel and daemon accept
// the same topic names.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/topic.h"
#include "daemon/mqtt/route_table.h"
#include "daemon/mqtt/shapes.h"
#include "daemon/mqtt/topic_filter.h"
#include "tests/support/topics.h"

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

bool kernel_takes(std::string_view topic) {
  std::vector<__u64> words(topic.size() / 8 + 1, ~0ull);
  std::memcpy(words.data(), topic.data(), topic.size());
  const auto len = static_cast<__u32>(topic.size());
  const topic_check check = check_topic(words.data(), len);
  if (check != TOPIC_NOT_ASCII) return check == TOPIC_GOOD;
  utf8_check text{};
  for (__u32 i = 0; i < UTF8_STEPS(len); i++) utf8_step(&text, words.data(), i, len);
  return text.bad == 0;
}

void check_filter(std::string_view filter, std::string_view topic) {
  if (!has_wildcard(filter)) require(!topic_problem(filter), "an exact filter is a topic");
  require(filter_matches(filter, topic) == plainly_matches(filter, topic), "the match");
  if (filter_matches(filter, topic))
    require(topic.size() >= shortest_topic(filter), "the shortest topic of a filter");
}

void check(std::string_view input) {
  const std::size_t end = input.rfind('\n');
  if (end == input.npos) return;
  const std::string_view topic = input.substr(end + 1);
  const bool topic_is_valid = !topic_problem(topic);
  if (topic.size() <= MAX_TOPIC)
    require(kernel_takes(topic) == topic_is_valid, "the kernel's view of a topic name");
  if (!topic_is_valid) return;
  require(!filter_problem(topic), "a topic is a filter for itself");
  require(filter_matches(topic, topic), "a topic does not match itself");

  std::vector<Route> routes;
  std::set<std::string> filters;
  std::string_view lines = input.substr(0, end);
  while (routes.size() < MAX_SHAPES) {
    const std::string filter(lines.substr(0, lines.find('\n')));
    if (!filter_problem(filter) && filters.insert(filter).second) {
      check_filter(filter, topic);
      routes.push_back({filter, filter, 0});
    }
    const std::size_t next = lines.find('\n');
    if (next == lines.npos) break;
    lines.remove_prefix(next + 1);
  }
  static const topic_keys keys = random_topic_keys(1);
  const Route* best = plain_choice(routes, topic);
  const RouteTable table(routes, keys);
  const auto found = table.match(topic);
  require(found.has_value() == (best != nullptr), "whether a route matches");
  if (best != nullptr) require(*found == best->group, "which route wins");
}

}  // namespace
}  // namespace remora

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  remora::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
