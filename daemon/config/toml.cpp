// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/toml.h"

// The parser's asserts fail for some invalid files too (toml++ 3.3: "[[.1"), which it refuses
// anyway.
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>

#include <algorithm>
#include <utility>

#include "daemon/config/problem.h"
#include "daemon/config/text.h"

namespace remora {
namespace {

TomlValue plain(const toml::node& node);

TomlTable plain_table(const toml::table& table) {
  TomlTable plain_one;
  plain_one.entries.reserve(table.size());
  for (const auto& [key, value] : table) {
    plain_one.entries.push_back({std::string(key.str()), key.source().begin.line, plain(value)});
  }
  return plain_one;
}

TomlArray plain_array(const toml::array& array) {
  TomlArray plain_one;
  plain_one.reserve(array.size());
  for (const toml::node& element : array) plain_one.push_back(plain(element));
  return plain_one;
}

TomlValue plain(const toml::node& node) {
  TomlValue result{node.source().begin.line, TomlDate{}};
  switch (node.type()) {
    case toml::node_type::table:
      result.value = plain_table(*node.as_table());
      break;
    case toml::node_type::array:
      result.value = plain_array(*node.as_array());
      break;
    case toml::node_type::string:
      result.value = **node.as_string();
      break;
    case toml::node_type::integer:
      result.value = **node.as_integer();
      break;
    case toml::node_type::floating_point:
      result.value = **node.as_floating_point();
      break;
    case toml::node_type::boolean:
      result.value = **node.as_boolean();
      break;
    default:
      break;
  }
  return result;
}

// The parser's message, on one line.
Problem syntax_problem(const toml::parse_error& error) {
  std::string text(error.description());
  std::replace(text.begin(), text.end(), '\n', ' ');
  return {error.source().begin.line, "this is not TOML: " + text};
}

}  // namespace

const TomlValue* TomlTable::find(std::string_view key) const {
  for (const TomlEntry& entry : entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

std::string_view TomlValue::type() const {
  static constexpr std::string_view kNames[] = {
      "a date or time", "true or false", "an integer", "a number with a fraction",
      "a string",       "an array",      "a table"};
  static_assert(std::size(kNames) == std::variant_size_v<decltype(value)>);
  return kNames[value.index()];
}

TomlValue parse_toml(std::string_view text, std::string_view name) {
  if (const auto problem = misplaced_byte(text)) throw ConfigError(name, {*problem});
  try {
    return plain(toml::parse(text, name));
  } catch (const toml::parse_error& error) {
    throw ConfigError(name, {syntax_problem(error)});
  }
}

}  // namespace remora
