// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/section.h"

#include <algorithm>

namespace remora {
namespace {

constexpr std::string_view kRoot = "";

bool is_table(const TomlValue& value) {
  return value.as<TomlTable>() != nullptr;
}

bool is_list_of_tables(const TomlValue& value) {
  const auto* array = value.as<TomlArray>();
  return array && !array->empty() && is_table(array->front());
}

std::string quoted(std::string_view key) {
  return "\"" + std::string(key) + "\"";
}

// The words that are available now.
std::vector<std::string_view> available(std::span<const Word> words) {
  std::vector<std::string_view> found;
  for (const Word& word : words)
    if (word.value) found.push_back(word.word);
  return found;
}

}  // namespace

Section::Section(const TomlValue& values, std::string_view name, const Keys& keys,
                 Problems& problems)
    : values_(&values), name_(name), keys_(&keys), problems_(&problems) {
  const auto known = known_names();
  for (const TomlEntry& entry : this->values().entries)
    if (std::ranges::find(known, entry.key) == known.end()) report_unknown(entry);
}

std::vector<std::string_view> Section::known_names() const {
  std::vector<std::string_view> names;
  for (const Key* key : keys_->of(name_)) names.push_back(key->name);
  if (name_ != kRoot) return names;
  for (const Table& table : keys_->tables())
    if (table.heading.starts_with('[')) names.push_back(table.name);
  return names;
}

std::uint32_t Section::line_of(std::string_view key) const {
  const TomlValue* value = find(key);
  return value ? value->line : line();
}

std::optional<Found<std::string>> Section::text(std::string_view key) const {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  const auto* string = value->as<std::string>();
  if (!string) {
    report(key, value->line, "must be a string, not " + std::string(value->type()));
    return std::nullopt;
  }
  if (const auto rule = row(key).field.text_problem) {
    if (const auto problem = rule(*string)) {
      report(key, value->line, *problem);
      return std::nullopt;
    }
  }
  return Found<std::string>{*string, value->line};
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

std::optional<Found<std::uint32_t>> Section::number(std::string_view key) const {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  const Field& field = row(key).field;
  const auto* integer = value->as<std::int64_t>();
  if (!integer) {
    report(key, value->line, "must be an integer, not " + std::string(value->type()));
    return std::nullopt;
  }
  if (*integer < field.range.lowest || *integer > field.range.highest) {
    report(key, value->line,
           "is " + std::to_string(*integer) + ", but must be from " +
               std::to_string(field.range.lowest) + " to " + std::to_string(field.range.highest));
    return std::nullopt;
  }
  const auto number = static_cast<std::uint32_t>(*integer);
  if (field.number_problem) {
    if (const auto problem = field.number_problem(number)) {
      report(key, value->line, *problem);
      return std::nullopt;
    }
  }
  return Found<std::uint32_t>{number, value->line};
}

std::optional<std::uint8_t> Section::word(std::string_view key) const {
  const auto found = text(key);
  if (!found) return std::nullopt;
  const std::span<const Word> words = row(key).field.words;
  const auto known = std::ranges::find(words, found->value, &Word::word);
  if (known != words.end() && known->value) return known->value;

  std::string problem = std::string(key) + " = " + in_quotes(found->value);
  const auto candidates = available(words);
  if (known != words.end()) {
    problem += " is not yet available; available: ";
  } else if (const auto meant = closest(found->value, candidates)) {
    problem += " is unknown; did you mean " + quoted(*meant) + "? Available: ";
  } else {
    problem += " is unknown; available: ";
  }
  problems_->add(found->line, problem + joined(candidates));
  return std::nullopt;
}

std::optional<Section> Section::table(std::string_view name) const {
  const TomlValue* value = find(name);
  if (!value) return std::nullopt;
  if (is_table(*value)) return Section(*value, name, *keys_, *problems_);
  problems_->add(value->line, quoted(name) + " must be one table; write [" + std::string(name) +
                                  "] above its keys");
  return std::nullopt;
}

std::vector<Section> Section::list(std::string_view name) const {
  std::vector<Section> sections;
  const TomlValue* value = find(name);
  if (!value) return sections;
  const auto* array = value->as<TomlArray>();
  const std::string remedy = "; write [[" + std::string(name) + "]] above each entry";
  if (!array || array->empty()) {
    problems_->add(value->line, quoted(name) + " must be a list of tables" + remedy);
    return sections;
  }
  for (const TomlValue& element : *array) {
    if (is_table(element))
      sections.emplace_back(element, name, *keys_, *problems_);
    else
      problems_->add(element.line, quoted(name) + " must hold tables" + remedy);
  }
  return sections;
}

std::vector<Section> Section::entries(std::string_view key, std::string_view name) const {
  std::vector<Section> sections;
  const TomlValue* value = find(key);
  if (!value) {
    report_missing(row(key));
    return sections;
  }
  const auto* array = value->as<TomlArray>();
  if (!array) {
    report(key, value->line, "must be an array of tables, not " + std::string(value->type()));
    return sections;
  }
  if (array->empty()) report(key, value->line, "is empty");
  for (const TomlValue& element : *array) {
    if (is_table(element))
      sections.emplace_back(element, name, *keys_, *problems_);
    else
      report(key, element.line, "must hold tables, not " + std::string(element.type()));
  }
  return sections;
}

void Section::report(std::string_view key, std::uint32_t line, std::string_view what) const {
  const std::string place =
      name_ == kRoot ? std::string() : " of " + std::string(keys_->heading(name_));
  problems_->add(line, quoted(key) + place + " " + std::string(what) + "; for example " +
                           std::string(key) + " = " + example_of(row(key)));
}

void Section::report_missing(const Key& key) const {
  problems_->add(line(), std::string(keys_->heading(name_)) + " has no " + quoted(key.name) +
                             "; add for example " + std::string(key.name) + " = " +
                             example_of(key));
}

void Section::report_unknown(const TomlEntry& entry) const {
  const bool is_root = name_ == kRoot;
  std::string text = is_root && (is_table(entry.value) || is_list_of_tables(entry.value))
                         ? "unknown table "
                         : "unknown key ";
  text += in_quotes(entry.key);
  if (!is_root) text += " in " + std::string(keys_->heading(name_));

  const auto names = known_names();
  if (const auto meant = closest(entry.key, names)) {
    text += "; did you mean " + quoted(*meant) + "?";
  } else if (const std::string home = keys_->home_of(entry.key); !home.empty()) {
    text += (is_root ? " outside of a table; it belongs in " : "; it belongs in ") + home + ".";
  } else {
    text += ".";
  }
  if (!is_root) {
    text += " Known keys: " + joined(names);
  } else {
    text += " Known here: ";
    std::vector<std::string_view> known;
    for (const Key* key : keys_->of(kRoot)) known.push_back(key->name);
    for (const Table& table : keys_->tables())
      if (table.heading.starts_with('[')) known.push_back(table.heading);
    text += joined(known);
  }
  problems_->add(entry.line, text);
}

}  // namespace remora
