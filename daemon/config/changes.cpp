// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/changes.h"

#include <functional>
#include <map>
#include <string_view>

#include "daemon/config/keys.h"
#include "daemon/config/problem.h"

namespace remora {
namespace {

using Lines = std::vector<std::string>;

// "weight 2, was 1"; a key that is not in the file has no value.
std::string change_of(std::string_view key, const std::string& before, const std::string& after) {
  const auto or_none = [](const std::string& value) { return value.empty() ? "none" : value; };
  return std::string(key) + " " + or_none(after) + ", was " + or_none(before);
}

// The changed keys of an entry but its `identity`, which is named before them.
template <class Entry>
Lines changes_of_keys(std::string_view table, std::string_view identity, const Entry& before,
                      const Entry& after) {
  Lines changes;
  for (const Key* key : config_keys().of(table)) {
    const Binding& binding = key->field.binding;
    if (!binding.is_shown() || key->name == identity || key->name == "reals") continue;
    const std::string was = binding.show(before), is = binding.show(after);
    if (was != is) changes.push_back(change_of(key->name, was, is));
  }
  return changes;
}

// How the lists differ: `name` tells one entry from another, `changes` how an entry has changed.
template <class Entry>
void compare(Lines& lines, const std::vector<Entry>& before, const std::vector<Entry>& after,
             const std::function<std::string(const Entry&)>& name,
             const std::function<Lines(const Entry&, const Entry&)>& changes) {
  std::map<std::string, const Entry*> former;
  for (const Entry& entry : before) former.emplace(name(entry), &entry);
  for (const Entry& entry : after) {
    const std::string what = name(entry);
    const auto found = former.find(what);
    if (found == former.end()) {
      lines.push_back(what + " added");
      continue;
    }
    for (const std::string& change : changes(*found->second, entry))
      lines.push_back(what + ": " + change);
    former.erase(found);
  }
  for (const auto& [what, entry] : former) lines.push_back(what + " removed");
}

Lines changes_of_group(const Group& before, const Group& after) {
  Lines changes = changes_of_keys("group", "name", before, after);
  compare<Real>(
      changes, before.reals, after.reals,
      [](const Real& real) { return "real " + to_string(real.address); },
      [](const Real& was, const Real& is) {
        return changes_of_keys("group.reals", "address", was, is);
      });
  return changes;
}

}  // namespace

std::vector<std::string> describe_changes(const Config& before, const Config& after) {
  Lines lines;
  for (const Key& key : config_keys().all()) {
    const std::string heading(config_keys().heading(key.table));
    const Binding& binding = key.field.binding;
    if (!heading.starts_with('[') || heading.starts_with("[[") || !binding.is_shown()) continue;
    const std::string was = binding.show(before), is = binding.show(after);
    if (was != is) lines.push_back(heading + " " + change_of(key.name, was, is));
  }
  compare<Service>(
      lines, before.services, after.services,
      [](const Service& service) { return "service " + to_string(service.at()); },
      [](const Service& was, const Service& is) {
        return changes_of_keys("service", "address", was, is);
      });
  compare<Group>(
      lines, before.groups, after.groups, [](const Group& group) { return "group " + group.name; },
      changes_of_group);
  compare<Route>(
      lines, before.routes, after.routes,
      [](const Route& route) { return "route " + in_quotes(route.filter); },
      [](const Route& was, const Route& is) {
        return changes_of_keys("route", "filter", was, is);
      });
  return lines;
}

}  // namespace remora
