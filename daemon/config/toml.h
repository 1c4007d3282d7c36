// SPDX-License-Identifier: Apache-2.0
//
// A TOML file as plain values, each with its line. Pure; only toml.cpp knows the parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace remora {

struct TomlValue;
struct TomlEntry;

using TomlArray = std::vector<TomlValue>;

struct TomlTable {
  std::vector<TomlEntry> entries;  // in the order of their keys

  // nullptr if there is no such key.
  const TomlValue* find(std::string_view key) const;
};

struct TomlDate {};  // a date or time, which none of our keys has

struct TomlValue {
  std::uint32_t line = 0;  // from 1
  std::variant<TomlDate, bool, std::int64_t, double, std::string, TomlArray, TomlTable> value;

  // nullptr if it is of another type.
  template <class T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  // "a table", "an integer"
  std::string_view type() const;
};

struct TomlEntry {
  std::string key;
  std::uint32_t line = 0;  // of the key
  TomlValue value;
};

// The root table of a file. Throws ConfigError if `text` is not TOML; `name` is the file's name in
// messages.
TomlValue parse_toml(std::string_view text, std::string_view name);

}  // namespace remora
