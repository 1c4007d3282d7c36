// SPDX-License-Identifier: Apache-2.0
//
// One table of the configuration file, read by key: types, ranges and words are
// checked here, and what is wrong is noted with its line.
//
// Reading goes on after a mistake, so that one look shows them all.
#pragma once

// The parser's asserts hold for some bad files too (toml++ 3.3: "[[.1"), which it
// then refuses all the same.
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/config.h"

namespace remora {

// What is wrong so far. Lines are those of the file, from 1.
class Problems {
 public:
  void add(std::uint32_t line, std::string text) { found_.push_back({line, std::move(text)}); }

  // In the order of the file, those without a line last. Leaves none behind.
  std::vector<Problem> take();

  bool empty() const { return found_.empty(); }

 private:
  std::vector<Problem> found_;
};

// A value and where it stands.
template <class T>
struct Found {
  T value;
  std::uint32_t line = 0;
};

// A word that a key may have. No value: planned, not yet available.
template <class T>
struct Word {
  std::string_view word;
  std::optional<T> value;
};

struct Range {
  std::uint32_t lowest;
  std::uint32_t highest;
};

// Text of the user for a message: in quotation marks, shortened, on one line.
std::string in_quotes(std::string_view text);

// The one of `candidates` that `word` was probably meant to be.
std::optional<std::string_view> closest(std::string_view word,
                                        std::span<const std::string_view> candidates);

// Where `key` is known, for one that stands elsewhere: "[[group]] or
// [mispredict]". Empty: nowhere.
std::string home_of(std::string_view key);

class Section {
 public:
  // Reports keys that `name`, a table of known_keys(), does not have. `values`
  // and `problems` must outlive the section.
  Section(const toml::table& values, std::string_view name, Problems& problems);

  std::uint32_t line() const;
  bool has(std::string_view key) const { return values_->contains(key); }

  // Each of these reports a value of the wrong type or outside of what it may
  // be and then answers as if the key were absent.

  std::optional<Found<std::string>> text(std::string_view key) const;
  // Of a string, or of an array of strings; none when the key is absent.
  std::vector<Found<std::string>> texts(std::string_view key) const;
  std::optional<Found<std::uint32_t>> number(std::string_view key, Range range) const;

  // As above; also reports an absent key.
  std::optional<Found<std::string>> required_text(std::string_view key) const;
  std::optional<Found<std::uint32_t>> required_number(std::string_view key, Range range) const;

  // Of the array of tables under `key`, each read as `name`.
  std::vector<Section> tables(std::string_view key, std::string_view name) const;

  template <class T, std::size_t count>
  std::optional<T> word(std::string_view key, const Word<T> (&words)[count]) const {
    return word(key, std::span<const Word<T>>(words));
  }
  template <class T>
  std::optional<T> word(std::string_view key, std::span<const Word<T>> words) const {
    const auto found = text(key);
    if (!found) return std::nullopt;
    std::vector<std::string_view> available;
    bool planned = false;
    for (const Word<T>& candidate : words) {
      if (candidate.value) available.push_back(candidate.word);
      if (candidate.word != found->value) continue;
      if (candidate.value) return candidate.value;
      planned = true;
    }
    if (planned)
      report_planned_word(key, *found, available);
    else
      report_unknown_word(key, *found, available);
    return std::nullopt;
  }

  // Reports `what` is wrong with the value of `key`, and how it may look.
  void report(std::string_view key, std::uint32_t line, std::string_view what) const;

 private:
  void report_missing(std::string_view key) const;
  void report_planned_word(std::string_view key, const Found<std::string>& found,
                           std::span<const std::string_view> available) const;
  void report_unknown_word(std::string_view key, const Found<std::string>& found,
                           std::span<const std::string_view> available) const;

  const toml::table* values_;
  std::string_view name_;
  Problems* problems_;
};

}  // namespace remora
