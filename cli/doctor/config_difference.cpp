// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/config_difference.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

#include "daemon/config/text.h"

namespace remora::doctor {
namespace {

toml::table parsed(std::string_view text) {
  if (misplaced_byte(text)) throw std::runtime_error("this is not TOML");
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw std::runtime_error(std::string("this is not TOML: ") + std::string(error.description()));
  }
}

std::set<std::string_view> keys_of(const toml::table& one, const toml::table& other) {
  std::set<std::string_view> keys;
  for (const toml::table* table : {&one, &other}) {
    for (const auto& [key, value] : *table) keys.insert(key.str());
  }
  return keys;
}

bool are_same(const toml::node* one, const toml::node* other);

bool are_same_tables(const toml::table& one, const toml::table& other) {
  return std::ranges::all_of(keys_of(one, other), [&](std::string_view key) {
    return are_same(one.get(key), other.get(key));
  });
}

bool are_same_arrays(const toml::array& one, const toml::array& other) {
  if (one.size() != other.size()) return false;
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (!are_same(one.get(i), other.get(i))) return false;
  }
  return true;
}

bool are_same(const toml::node* one, const toml::node* other) {
  if (!one || !other || one->type() != other->type()) return one == other;
  if (one->is_table()) return are_same_tables(*one->as_table(), *other->as_table());
  if (one->is_array()) return are_same_arrays(*one->as_array(), *other->as_array());
  if (one->is_string()) return **one->as_string() == **other->as_string();
  if (one->is_integer()) return **one->as_integer() == **other->as_integer();
  if (one->is_boolean()) return **one->as_boolean() == **other->as_boolean();
  if (one->is_floating_point()) return **one->as_floating_point() == **other->as_floating_point();
  return false;  // dates: no key has one
}

}  // namespace

std::vector<std::string> differing_keys(std::string_view file, std::string_view running) {
  const toml::table in_file = parsed(file), in_force = parsed(running);
  std::vector<std::string> found;
  for (const std::string_view section : keys_of(in_file, in_force)) {
    const toml::node *left = in_file.get(section), *right = in_force.get(section);
    if (are_same(left, right)) continue;
    const bool is_list = (left && left->is_array()) || (right && right->is_array());
    if (is_list) {
      found.push_back("[[" + std::string(section) + "]]");
      continue;
    }
    const toml::table none;
    const toml::table& here = left && left->is_table() ? *left->as_table() : none;
    const toml::table& there = right && right->is_table() ? *right->as_table() : none;
    for (const std::string_view key : keys_of(here, there)) {
      if (!are_same(here.get(key), there.get(key)))
        found.push_back("[" + std::string(section) + "] " + std::string(key));
    }
  }
  return found;
}

bool takes_effect_at_reload(std::string_view key) {
  constexpr std::array<std::string_view, 4> kReloaded = {"[lb] gateway_mac", "[lb] outer_source",
                                                         "[limits] idle_hours",
                                                         "[limits] connections_per_client"};
  if (key.starts_with("[[") || key.starts_with("[mispredict]")) return true;
  return std::ranges::find(kReloaded, key) != kReloaded.end();
}

}  // namespace remora::doctor
