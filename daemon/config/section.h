// SPDX-License-Identifier: Apache-2.0
//
// One table of a configuration file, read by key: types, ranges and words are those of the key's
// row, and problems are collected with their lines.
//
// Reading goes on after a mistake, so that all of them are reported at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/keys.h"
#include "daemon/config/problem.h"
#include "daemon/config/toml.h"

namespace remora {

// A value and its line.
template <class T>
struct Found {
  T value;
  std::uint32_t line = 0;
};

class Section {
 public:
  // Reads `values`, which must be a TOML table, as the table `name` of `keys`; "" is the root.
  // Reports keys that the table does not have. All references must outlive the section.
  Section(const TomlValue& values, std::string_view name, const Keys& keys, Problems& problems);

  std::uint32_t line() const { return values_->line; }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // Line of the key; if it is missing, line of the table.
  std::uint32_t line_of(std::string_view key) const;

  // Reads every key of the table into its struct. Reports missing ones.
  template <class Owner>
  void read(Owner& owner) const {
    for (const Key* key : keys_->of(name_)) {
      if (!key->field.binding.is_read()) continue;
      if (key->presence == Presence::kRequired && !has(key->name)) report_missing(*key);
      key->field.binding.read(*this, key->name, owner);
    }
  }

  // Each of these reports a value that the row does not allow, and then returns the same as for a
  // missing key.

  std::optional<Found<std::string>> text(std::string_view key) const;
  // A string, or each string of an array; empty if the key is missing.
  std::vector<Found<std::string>> texts(std::string_view key) const;
  std::optional<Found<std::uint32_t>> number(std::string_view key) const;
  // The enum's value for one of the row's words.
  std::optional<std::uint8_t> word(std::string_view key) const;

  // The table of that name in the root, which may occur once.
  std::optional<Section> table(std::string_view name) const;
  // The tables of that name in the root.
  std::vector<Section> list(std::string_view name) const;
  // The array of tables under `key`, each read as the table `name`. Reports a missing key.
  std::vector<Section> entries(std::string_view key, std::string_view name) const;

  // Reports what is wrong with the value of `key`, and shows a right one.
  void report(std::string_view key, std::uint32_t line, std::string_view what) const;

 private:
  const TomlTable& values() const { return *values_->as<TomlTable>(); }
  const TomlValue* find(std::string_view key) const { return values().find(key); }
  const Key& row(std::string_view key) const { return keys_->find(name_, key); }
  std::vector<std::string_view> known_names() const;
  void report_unknown(const TomlEntry& entry) const;
  void report_missing(const Key& key) const;

  const TomlValue* values_;
  std::string_view name_;
  const Keys* keys_;
  Problems* problems_;
};

}  // namespace remora
