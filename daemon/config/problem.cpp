// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/problem.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace remora {
namespace {

// Longer text of the user is shortened to this many bytes in messages.
constexpr std::size_t kLongestQuote = 80;
// A longer word is not taken for a misspelt key.
constexpr std::size_t kLongestWord = 64;

std::string message_of(std::string_view file, const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) {
    if (!text.empty()) text += '\n';
    text += describe(file, problem);
  }
  return text;
}

// The edit distance: the number of letters to insert, delete, replace, or exchange with the next
// one (Damerau and Levenshtein, without further edits of exchanged letters).
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> before, last, row(right.size() + 1);  // of i - 1, i and i + 1 letters
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i + 1;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t replaced = last[j] + (left[i] == right[j] ? 0 : 1);
      row[j + 1] = std::min({replaced, row[j] + 1, last[j + 1] + 1});
      const bool is_exchange = i > 0 && j > 0 && left[i] == right[j - 1] && left[i - 1] == right[j];
      if (is_exchange) row[j + 1] = std::min(row[j + 1], before[j - 1] + 1);
    }
  }
  return row.back();
}

}  // namespace

std::string describe(std::string_view file, const Problem& problem) {
  std::string place(file);
  if (problem.line > 0) place += ":" + std::to_string(problem.line);
  return place + ": " + problem.text;
}

ConfigError::ConfigError(std::string_view file, std::vector<Problem> problems)
    : std::runtime_error(message_of(file, problems)), problems_(std::move(problems)) {}

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
  bool is_high_control = false;  // U+0080 to U+009F: two bytes, of which the first is 0xc2
  for (std::size_t i = 0; i < text.size(); i++) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool is_second = is_high_control;
    is_high_control = byte == 0xc2 && next >= 0x80 && next < 0xa0;
    if (byte >= 0x20 && byte != 0x7f && !is_high_control && !is_second) {
      result += text[i];
      continue;
    }
    result += "\\x";
    result += kDigits[byte >> 4];
    result += kDigits[byte & 0xf];
  }
  return result + (is_long ? "…\"" : "\"");
}

std::string joined(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

std::optional<std::string_view> closest(std::string_view word,
                                        std::span<const std::string_view> candidates) {
  if (word.size() > kLongestWord) return std::nullopt;
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

}  // namespace remora
