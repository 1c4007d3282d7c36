// SPDX-License-Identifier: Apache-2.0
//
// One table of the configuration file, read by key: types, ranges and words are
// checked here, and what is wrong is noted with its line.
//
// Reading goes on after a mistake, so that one look shows them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/problem.h"
#include "daemon/config/toml.h"

namespace remora {

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

// Where `key` is known, for one that stands elsewhere: "[[group]] or
// [mispredict]". Empty: nowhere.
std::string home_of(std::string_view key);

class Section {
 public:
  // `table` must be a table. Reports keys that `name`, a table of known_keys(), does not
  // have. `table` and `problems` must outlive the section.
  Section(const TomlValue& table, std::string_view name, Problems& problems);

  std::uint32_t line() const { return table_->line; }
  bool has(std::string_view key) const { return find(key) != nullptr; }

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
  const TomlValue* find(std::string_view key) const { return table_->as<TomlTable>()->find(key); }
  void report_missing(std::string_view key) const;
  void report_planned_word(std::string_view key, const Found<std::string>& found,
                           std::span<const std::string_view> available) const;
  void report_unknown_word(std::string_view key, const Found<std::string>& found,
                           std::span<const std::string_view> available) const;

  const TomlValue* table_;
  std::string_view name_;
  Problems* problems_;
};

}  // namespace remora
