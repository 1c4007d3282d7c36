// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/keys.h"

#include <algorithm>

#include "daemon/config/problem.h"

namespace remora {
namespace {

std::string full_name(const Key& key) {
  return std::string(config_keys().heading(key.table)) + " " + std::string(key.name);
}

template <class Entry>
bool are_same(std::string_view table, const std::vector<Entry>& before,
              const std::vector<Entry>& after) {
  const auto keys = config_keys().of(table);
  return std::ranges::equal(before, after, [&](const Entry& left, const Entry& right) {
    return std::ranges::all_of(keys, [&](const Key* key) {
      const Binding& binding = key->field.binding;
      return !binding.is_shown() || binding.show(left) == binding.show(right);
    });
  });
}

}  // namespace

std::vector<const Key*> Keys::of(std::string_view table) const {
  std::vector<const Key*> found;
  for (const Key& key : keys_)
    if (key.table == table) found.push_back(&key);
  return found;
}

const Key& Keys::find(std::string_view table, std::string_view name) const {
  for (const Key& key : keys_)
    if (key.table == table && key.name == name) return key;
  throw std::logic_error("no row for the key " + std::string(table) + "." + std::string(name));
}

std::string_view Keys::heading(std::string_view table) const {
  const auto found = std::ranges::find(tables_, table, &Table::name);
  return found == tables_.end() ? table : found->heading;
}

std::string Keys::home_of(std::string_view name) const {
  std::string home;
  for (const Key& key : keys_)
    if (key.name == name) home += (home.empty() ? "" : " or ") + std::string(heading(key.table));
  return home;
}

std::string_view word_of(std::span<const Word> words, std::uint8_t value) {
  const auto found = std::ranges::find(words, std::optional(value), &Word::value);
  return found == words.end() ? "unknown" : found->word;
}

std::optional<std::string> default_of(const Key& key) {
  if (key.presence == Presence::kRequired) return std::nullopt;
  if (!key.default_words.empty()) return std::string(key.default_words);
  return key.field.binding.show_default();
}

std::string example_of(const Key& key) {
  return key.example.empty() ? default_of(key).value() : std::string(key.example);
}

std::vector<ChangedKey> changed_keys(const Config& before, const Config& after) {
  std::vector<ChangedKey> changed;
  const auto note = [&](const std::string& name, bool same, Change change) {
    if (!same) changed.push_back({name, change});
  };
  std::string_view list;  // the list of tables whose keys are being visited
  for (const Key& key : config_keys().all()) {
    const std::string heading(config_keys().heading(key.table));
    if (!heading.starts_with("[[")) {
      const Binding& binding = key.field.binding;
      if (heading.starts_with('['))
        note(full_name(key), binding.show(before) == binding.show(after), key.change);
      continue;
    }
    if (key.table == list) continue;
    list = key.table;
    if (list == "service")
      note(heading, are_same(list, before.services, after.services), Change::kReload);
    else if (list == "group")
      note(heading, are_same(list, before.groups, after.groups), Change::kReload);
    else
      note(heading, are_same(list, before.routes, after.routes), Change::kReload);
  }
  return changed;
}

Change needed_for(const std::vector<ChangedKey>& changed) {
  Change needed = Change::kReload;
  for (const ChangedKey& key : changed) needed = std::max(needed, key.change);
  return needed;
}

std::string names_of(const std::vector<ChangedKey>& changed) {
  std::vector<std::string_view> names;
  for (const ChangedKey& key : changed) names.push_back(key.name);
  return joined(names);
}

void require_reloadable(const Config& running, const Config& next) {
  std::vector<ChangedKey> changed = changed_keys(running, next);
  std::erase_if(changed, [](const ChangedKey& key) { return key.change == Change::kReload; });
  if (changed.empty()) return;
  throw std::runtime_error(names_of(changed) + " cannot change while remorad runs; " +
                           (needed_for(changed) == Change::kRestart
                                ? "restart it to apply the change"
                                : "stop it, run remorad --detach with the old file, and start it "
                                  "with the new one"));
}

}  // namespace remora
