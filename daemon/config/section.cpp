// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/section.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace remora {
namespace {

// Longer text of the user is shortened to this many bytes in messages.
constexpr std::size_t kLongestQuote = 80;

// How a table is written in the file.
std::string heading(std::string_view name) {
  if (name == "group.reals") return "an entry of \"reals\"";
  if (name == "service" || name == "group" || name == "route")
    return "[[" + std::string(name) + "]]";
  return "[" + std::string(name) + "]";
}

std::string joined(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

std::vector<std::string_view> keys_of(std::string_view table) {
  std::vector<std::string_view> keys;
  for (const KnownKey& known : known_keys())
    if (known.table == table) keys.push_back(known.key);
  return keys;
}

// "port = 1883"
std::string example(std::string_view table, std::string_view key) {
  const auto keys = known_keys();
  const auto known = std::find_if(keys.begin(), keys.end(), [&](const KnownKey& candidate) {
    return candidate.table == table && candidate.key == key;
  });
  return std::string(key) + " = " + std::string(known->example);
}

std::string_view type_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

std::uint32_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

// How many letters must be put in, left out or replaced to make `left` of
// `right`.
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t replaced = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::vector<Problem> Problems::take() {
  const auto place = [](const Problem& problem) {
    return problem.line == 0 ? std::numeric_limits<std::uint32_t>::max() : problem.line;
  };
  std::stable_sort(found_.begin(), found_.end(), [&](const Problem& left, const Problem& right) {
    return place(left) < place(right);
  });
  return std::exchange(found_, {});
}

std::string in_quotes(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const bool is_long = text.size() > kLongestQuote;
  if (is_long) {
    std::size_t end = kLongestQuote;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end);
  }
  std::string result = "\"";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte >= 0x20 && byte != 0x7f) {
      result += character;
      continue;
    }
    result += "\\x";
    result += kDigits[byte >> 4];
    result += kDigits[byte & 0xf];
  }
  return result + (is_long ? "…\"" : "\"");
}

std::optional<std::string_view> closest(std::string_view word,
                                        std::span<const std::string_view> candidates) {
  constexpr std::size_t kLongestKey = 64;  // nothing that long is a slip of the finger
  if (word.size() > kLongestKey) return std::nullopt;
  std::optional<std::string_view> best;
  std::size_t best_distance = 0;
  for (const std::string_view candidate : candidates) {
    const std::size_t candidate_distance = distance(word, candidate);
    if (candidate_distance > std::max<std::size_t>(1, candidate.size() / 3)) continue;
    if (best && candidate_distance >= best_distance) continue;
    best = candidate;
    best_distance = candidate_distance;
  }
  return best;
}

std::string home_of(std::string_view key) {
  std::string home;
  for (const KnownKey& known : known_keys())
    if (known.key == key) home += (home.empty() ? "" : " or ") + heading(known.table);
  return home;
}

Section::Section(const toml::table& values, std::string_view name, Problems& problems)
    : values_(&values), name_(name), problems_(&problems) {
  const auto keys = keys_of(name);
  for (const auto& [key, value] : values) {
    if (std::find(keys.begin(), keys.end(), key.str()) != keys.end()) continue;
    std::string text = "unknown key " + in_quotes(key.str()) + " in " + heading(name);
    if (const auto meant = closest(key.str(), keys)) {
      text += "; did you mean \"" + std::string(*meant) + "\"?";
    } else if (const std::string home = home_of(key.str()); !home.empty()) {
      text += "; it belongs into " + home + ".";
    }
    text += (text.back() == '?' || text.back() == '.') ? " Known keys: " : "; known keys: ";
    problems.add(key.source().begin.line, text + joined(keys));
  }
}

std::uint32_t Section::line() const {
  return line_of(*values_);
}

std::optional<Found<std::string>> Section::text(std::string_view key) const {
  const toml::node* node = values_->get(key);
  if (!node) return std::nullopt;
  if (const auto* string = node->as_string()) return Found<std::string>{**string, line_of(*node)};
  report(key, line_of(*node), "must be a string, not " + std::string(type_of(*node)));
  return std::nullopt;
}

std::vector<Found<std::string>> Section::texts(std::string_view key) const {
  std::vector<Found<std::string>> found;
  const toml::node* node = values_->get(key);
  if (!node) return found;
  const auto take = [&](const toml::node& element, std::string_view wanted) {
    if (const auto* string = element.as_string())
      found.push_back({**string, line_of(element)});
    else
      report(key, line_of(element),
             "must " + std::string(wanted) + ", not " + std::string(type_of(element)));
  };
  const toml::array* array = node->as_array();
  if (!array) {
    take(*node, "be a string or an array of strings");
    return found;
  }
  if (array->empty()) report(key, line_of(*node), "is empty");
  for (const toml::node& element : *array) take(element, "hold strings");
  return found;
}

std::optional<Found<std::uint32_t>> Section::number(std::string_view key, Range range) const {
  const toml::node* node = values_->get(key);
  if (!node) return std::nullopt;
  const auto* integer = node->as_integer();
  if (!integer) {
    report(key, line_of(*node), "must be an integer, not " + std::string(type_of(*node)));
    return std::nullopt;
  }
  const std::int64_t value = **integer;
  if (value < range.lowest || value > range.highest) {
    report(key, line_of(*node),
           "is " + std::to_string(value) + ", but must be from " + std::to_string(range.lowest) +
               " to " + std::to_string(range.highest));
    return std::nullopt;
  }
  return Found<std::uint32_t>{static_cast<std::uint32_t>(value), line_of(*node)};
}

std::optional<Found<std::string>> Section::required_text(std::string_view key) const {
  if (!values_->contains(key)) report_missing(key);
  return text(key);
}

std::optional<Found<std::uint32_t>> Section::required_number(std::string_view key,
                                                             Range range) const {
  if (!values_->contains(key)) report_missing(key);
  return number(key, range);
}

std::vector<Section> Section::tables(std::string_view key, std::string_view name) const {
  std::vector<Section> sections;
  const toml::node* node = values_->get(key);
  if (!node) {
    report_missing(key);
    return sections;
  }
  const toml::array* array = node->as_array();
  if (!array) {
    report(key, line_of(*node), "must be an array of tables, not " + std::string(type_of(*node)));
    return sections;
  }
  if (array->empty()) report(key, line_of(*node), "is empty");
  for (const toml::node& element : *array) {
    if (const toml::table* table = element.as_table())
      sections.emplace_back(*table, name, *problems_);
    else
      report(key, line_of(element), "must hold tables, not " + std::string(type_of(element)));
  }
  return sections;
}

void Section::report(std::string_view key, std::uint32_t line, std::string_view what) const {
  problems_->add(line, "\"" + std::string(key) + "\" of " + heading(name_) + " " +
                           std::string(what) + "; for example " + example(name_, key));
}

void Section::report_missing(std::string_view key) const {
  problems_->add(line(), heading(name_) + " has no \"" + std::string(key) + "\"; add for example " +
                             example(name_, key));
}

void Section::report_planned_word(std::string_view key, const Found<std::string>& found,
                                  std::span<const std::string_view> available) const {
  problems_->add(found.line, std::string(key) + " = " + in_quotes(found.value) +
                                 " is not yet available; available: " + joined(available));
}

void Section::report_unknown_word(std::string_view key, const Found<std::string>& found,
                                  std::span<const std::string_view> available) const {
  std::string text = std::string(key) + " = " + in_quotes(found.value) + " is unknown; ";
  if (const auto meant = closest(found.value, available))
    text += "did you mean \"" + std::string(*meant) + "\"? Available: ";
  else
    text += "available: ";
  problems_->add(found.line, text + joined(available));
}

}  // namespace remora
