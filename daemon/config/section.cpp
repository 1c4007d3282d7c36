// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/section.h"

#include <algorithm>

namespace remora {
namespace {

// How a table is written in the file.
std::string heading(std::string_view name) {
  if (name == "group.reals") return "an entry of \"reals\"";
  if (name == "service" || name == "group" || name == "route")
    return "[[" + std::string(name) + "]]";
  return "[" + std::string(name) + "]";
}

std::vector<std::string_view> keys_of(std::string_view table) {
  std::vector<std::string_view> keys;
  for (const KnownKey& known : known_keys())
    if (known.table == table) keys.push_back(known.key);
  return keys;
}

// "port = 1883"
std::string example(std::string_view table, std::string_view key) {
  const auto keys = known_keys();
  const auto known = std::find_if(keys.begin(), keys.end(), [&](const KnownKey& candidate) {
    return candidate.table == table && candidate.key == key;
  });
  return std::string(key) + " = " + std::string(known->example);
}

}  // namespace

std::string home_of(std::string_view key) {
  std::string home;
  for (const KnownKey& known : known_keys())
    if (known.key == key) home += (home.empty() ? "" : " or ") + heading(known.table);
  return home;
}

Section::Section(const TomlValue& table, std::string_view name, Problems& problems)
    : table_(&table), name_(name), problems_(&problems) {
  const auto keys = keys_of(name);
  for (const TomlEntry& entry : table.as<TomlTable>()->entries) {
    if (std::find(keys.begin(), keys.end(), entry.key) != keys.end()) continue;
    std::string text = "unknown key " + in_quotes(entry.key) + " in " + heading(name);
    if (const auto meant = closest(entry.key, keys)) {
      text += "; did you mean \"" + std::string(*meant) + "\"?";
    } else if (const std::string home = home_of(entry.key); !home.empty()) {
      text += "; it belongs into " + home + ".";
    }
    text += (text.back() == '?' || text.back() == '.') ? " Known keys: " : "; known keys: ";
    problems.add(entry.line, text + joined(keys));
  }
}

std::optional<Found<std::string>> Section::text(std::string_view key) const {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  if (const auto* string = value->as<std::string>())
    return Found<std::string>{*string, value->line};
  report(key, value->line, "must be a string, not " + std::string(value->type()));
  return std::nullopt;
}

std::vector<Found<std::string>> Section::texts(std::string_view key) const {
  std::vector<Found<std::string>> found;
  const TomlValue* value = find(key);
  if (!value) return found;
  const auto take = [&](const TomlValue& element, std::string_view wanted) {
    if (const auto* string = element.as<std::string>())
      found.push_back({*string, element.line});
    else
      report(key, element.line,
             "must " + std::string(wanted) + ", not " + std::string(element.type()));
  };
  const auto* array = value->as<TomlArray>();
  if (!array) {
    take(*value, "be a string or an array of strings");
    return found;
  }
  if (array->empty()) report(key, value->line, "is empty");
  for (const TomlValue& element : *array) take(element, "hold strings");
  return found;
}

std::optional<Found<std::uint32_t>> Section::number(std::string_view key, Range range) const {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  const auto* integer = value->as<std::int64_t>();
  if (!integer) {
    report(key, value->line, "must be an integer, not " + std::string(value->type()));
    return std::nullopt;
  }
  if (*integer < range.lowest || *integer > range.highest) {
    report(key, value->line,
           "is " + std::to_string(*integer) + ", but must be from " + std::to_string(range.lowest) +
               " to " + std::to_string(range.highest));
    return std::nullopt;
  }
  return Found<std::uint32_t>{static_cast<std::uint32_t>(*integer), value->line};
}

std::optional<Found<std::string>> Section::required_text(std::string_view key) const {
  if (!has(key)) report_missing(key);
  return text(key);
}

std::optional<Found<std::uint32_t>> Section::required_number(std::string_view key,
                                                             Range range) const {
  if (!has(key)) report_missing(key);
  return number(key, range);
}

std::vector<Section> Section::tables(std::string_view key, std::string_view name) const {
  std::vector<Section> sections;
  const TomlValue* value = find(key);
  if (!value) {
    report_missing(key);
    return sections;
  }
  const auto* array = value->as<TomlArray>();
  if (!array) {
    report(key, value->line, "must be an array of tables, not " + std::string(value->type()));
    return sections;
  }
  if (array->empty()) report(key, value->line, "is empty");
  for (const TomlValue& element : *array) {
    if (element.as<TomlTable>())
      sections.emplace_back(element, name, *problems_);
    else
      report(key, element.line, "must hold tables, not " + std::string(element.type()));
  }
  return sections;
}

void Section::report(std::string_view key, std::uint32_t line, std::string_view what) const {
  problems_->add(line, "\"" + std::string(key) + "\" of " + heading(name_) + " " +
                           std::string(what) + "; for example " + example(name_, key));
}

void Section::report_missing(std::string_view key) const {
  problems_->add(line(), heading(name_) + " has no \"" + std::string(key) + "\"; add for example " +
                             example(name_, key));
}

void Section::report_planned_word(std::string_view key, const Found<std::string>& found,
                                  std::span<const std::string_view> available) const {
  problems_->add(found.line, std::string(key) + " = " + in_quotes(found.value) +
                                 " is not yet available; available: " + joined(available));
}

void Section::report_unknown_word(std::string_view key, const Found<std::string>& found,
                                  std::span<const std::string_view> available) const {
  std::string text = std::string(key) + " = " + in_quotes(found.value) + " is unknown; ";
  if (const auto meant = closest(found.value, available))
    text += "did you mean \"" + std::string(*meant) + "\"? Available: ";
  else
    text += "available: ";
  problems_->add(found.line, text + joined(available));
}

}  // namespace remora
