// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/config_difference.h"

#include <algorithm>
#include <array>
#include <set>
#include <type_traits>

#include "daemon/config/problem.h"
#include "daemon/config/toml.h"

namespace remora::doctor {
namespace {

std::set<std::string_view> keys_of(const TomlTable& one, const TomlTable& other) {
  std::set<std::string_view> keys;
  for (const TomlTable* table : {&one, &other})
    for (const TomlEntry& entry : table->entries) keys.insert(entry.key);
  return keys;
}

bool are_same(const TomlValue* one, const TomlValue* other) {
  if (!one || !other || one->value.index() != other->value.index()) return one == other;
  const auto compare = [&]<class T>(const T& value) {
    const T& its = std::get<T>(other->value);
    if constexpr (std::is_same_v<T, TomlTable>) {
      return std::ranges::all_of(keys_of(value, its), [&](std::string_view key) {
        return are_same(value.find(key), its.find(key));
      });
    } else if constexpr (std::is_same_v<T, TomlArray>) {
      return std::ranges::equal(value, its, [](const TomlValue& left, const TomlValue& right) {
        return are_same(&left, &right);
      });
    } else if constexpr (std::is_same_v<T, TomlDate>) {
      return false;  // no key has one
    } else {
      return value == its;
    }
  };
  return std::visit(compare, one->value);
}

}  // namespace

std::vector<std::string> differing_keys(std::string_view file, std::string_view running) {
  const TomlValue file_root = parse_toml(file, "the file"),
                  running_root = parse_toml(running, "the running configuration");
  const auto &in_file = *file_root.as<TomlTable>(), &in_force = *running_root.as<TomlTable>();
  std::vector<std::string> found;
  for (const std::string_view section : keys_of(in_file, in_force)) {
    const TomlValue *left = in_file.find(section), *right = in_force.find(section);
    if (are_same(left, right)) continue;
    const bool is_list = (left && left->as<TomlArray>()) || (right && right->as<TomlArray>());
    if (is_list) {
      found.push_back("[[" + std::string(section) + "]]");
      continue;
    }
    const TomlTable none;
    const TomlTable& here = left && left->as<TomlTable>() ? *left->as<TomlTable>() : none;
    const TomlTable& there = right && right->as<TomlTable>() ? *right->as<TomlTable>() : none;
    for (const std::string_view key : keys_of(here, there)) {
      if (!are_same(here.find(key), there.find(key)))
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
