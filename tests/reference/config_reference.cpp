// SPDX-License-Identifier: Apache-2.0
#include "tests/reference/config_reference.h"

#include <algorithm>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "daemon/config/memory_plan.h"
#include "tests/reference/text.h"

namespace remora::reference {
namespace {

constexpr std::size_t kCommentColumns = 90;
constexpr std::size_t kManColumns = 84;

bool has_range(const Key& key) {
  return key.field.range.highest != Range().highest;
}

std::string range_of(const Key& key) {
  return std::to_string(key.field.range.lowest) + " to " + std::to_string(key.field.range.highest);
}

// "`native`: in the driver."
std::string sentence_of(const Word& word) {
  if (!word.value) return "`" + std::string(word.word) + "` is not available yet.";
  return "`" + std::string(word.word) + "`: " + std::string(word.meaning) + ".";
}

std::string sentences_of(const Key& key) {
  std::string text(key.meaning);
  for (const Word& word : key.field.words) text += " " + sentence_of(word);
  return text;
}

bool is_toml(const Key& key) {
  return key.presence == Presence::kOptional && key.default_words.empty();
}

std::string default_cell(const Key& key) {
  const auto value = default_of(key);
  if (!value) return "required";
  return is_toml(key) ? "`" + *value + "`" : *value;
}

std::string_view word_for(Change change) {
  switch (change) {
    case Change::kReload:
      return "reload";
    case Change::kRestart:
      return "restart";
    case Change::kDetach:
      return "detach";
  }
  throw std::logic_error("an unknown kind of change");
}

// Groups of three digits are separated by blanks from 10 000 on.
std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() <= 4) return digits;
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, " ");
  return digits;
}

std::string in_megabytes(std::uint64_t bytes) {
  return std::to_string((bytes + 500'000) / 1'000'000);
}

// The bytes that one entry of a limit costs in all of its maps.
std::string memory_cell(const Key& key, const std::vector<TableMemory>& plan) {
  std::uint64_t bytes = 0;
  std::istringstream maps{std::string(key.maps)};
  for (std::string map; maps >> map;) {
    const auto found = std::ranges::find(plan, map, &TableMemory::table);
    if (found == plan.end()) throw std::logic_error("no map " + map + " in the memory plan");
    bytes += found->bytes();
  }
  if (bytes == 0) return "";
  std::string entries = default_of(key).value();
  std::erase(entries, '_');
  return grouped((bytes + std::stoull(entries) / 2) / std::stoull(entries));
}

struct Line {
  std::string text;
  std::string table;  // the table that contains the line
  std::string key;    // the key that the line sets, or would set without its `#`
  bool is_comment = false;
};

std::vector<Line> lines_of(const Keys& keys, std::string_view example) {
  static const std::regex heading(R"((# )?\[\[?([a-z_]+)\]\]?.*)");
  static const std::regex setting(R"((# )?([a-z_]+) = .*)");
  std::vector<Line> lines;
  std::string table;
  std::istringstream stream{std::string(example)};
  for (std::string text; std::getline(stream, text);) {
    std::smatch match;
    Line line{text, table, "", text.starts_with('#')};
    if (std::regex_match(text, match, heading)) {
      line.table = table = match[2];
      line.is_comment = false;
    } else if (std::regex_match(text, match, setting)) {
      const std::string name = match[2];
      const auto known = keys.of(table);
      if (std::ranges::any_of(known, [&](const Key* key) { return key->name == name; }))
        line.key = name;
    }
    lines.push_back(line);
  }
  return lines;
}

std::string comment_of(const Key& key) {
  std::string text = wrapped(plain(key.meaning), "# ", kCommentColumns);
  for (const Word& word : key.field.words) {
    if (!word.value) continue;
    // The text's first line follows the mark; the others are indented.
    std::string lines = wrapped(plain(sentence_of(word)), "#     ", kCommentColumns);
    text += "#   " + lines.substr(6);
  }
  return text;
}

std::string setting_of(const Key& key, const Line& line) {
  if (!line.is_comment || !is_toml(key)) return line.text + "\n";
  return "# " + std::string(key.name) + " = " + default_of(key).value() + "\n";
}

}  // namespace

std::string key_table(const Keys& keys, std::string_view table) {
  const auto rows = keys.of(table);
  const bool has_memory =
      std::ranges::any_of(rows, [](const Key* key) { return !key->maps.empty(); });
  const auto plan = memory_plan(Config());
  std::string text = std::string("| key | type | default | change |") +
                     (has_memory ? " bytes per entry |" : "") + " meaning |\n|---|---|---|---|" +
                     (has_memory ? "---|" : "") + "---|\n";
  for (const Key* key : rows) {
    text += "| `" + std::string(key->name) + "` | " + std::string(key->field.type);
    if (has_range(*key)) text += ", " + range_of(*key);
    text += " | " + default_cell(*key) + " | " + std::string(word_for(key->change)) + " | ";
    if (has_memory) text += memory_cell(*key, plan) + " | ";
    text += sentences_of(*key);
    if (!key->details.empty()) text += " " + std::string(key->details);
    text += " |\n";
  }
  return text;
}

std::string key_entries(const Keys& keys, std::string_view table) {
  std::string text;
  for (const Key* key : keys.of(table)) {
    text += "\n*" + std::string(key->name) + "*";
    if (const auto value = default_of(*key); !value)
      text += " (required)";
    else
      text += " = " + for_man(*value);
    text += "\n";
    std::string sentences = sentences_of(*key);
    if (has_range(*key)) sentences += " From " + range_of(*key) + ".";
    text += wrapped(for_man(sentences), "\t", kManColumns);
  }
  return text + "\n";
}

std::string keys_that_need(const Keys& keys, Change change) {
  std::string text;
  for (const Table& table : keys.tables()) {
    std::string names;
    for (const Key* key : keys.of(table.name)) {
      if (key->change != change) continue;
      names += (names.empty() ? "*" : ", *") + std::string(key->name) + "*";
    }
    if (names.empty()) continue;
    text += (text.empty() ? "" : "; ") + names + " of *" + std::string(table.heading) + "*";
  }
  return "\n" + wrapped(text + ".", "", kManColumns) + "\n";
}

std::string memory_table() {
  const auto plan = memory_plan(Config());
  std::string text = "| table | entries by default | bytes per entry | MB |\n|---|---|---|---|\n";
  for (const TableMemory& table : plan) {
    text += "| `" + std::string(table.table) + "` | " + grouped(table.entries) + " | " +
            grouped(table.bytes_per_entry) + " | " + in_megabytes(table.bytes()) + " |\n";
  }
  return text + "| together | | | " + in_megabytes(total_bytes(plan)) + " |\n";
}

std::string with_comments(const Keys& keys, std::string_view example) {
  const std::vector<Line> lines = lines_of(keys, example);
  std::set<std::pair<std::string, std::string>> shown;
  std::vector<std::string> result;  // without the comments of the next key
  std::vector<std::string> pending;
  const auto flush = [&] {
    result.insert(result.end(), pending.begin(), pending.end());
    pending.clear();
  };
  for (std::size_t at = 0; at < lines.size(); ++at) {
    const Line& line = lines[at];
    if (line.key.empty()) {
      if (!line.is_comment) flush();
      (line.is_comment ? pending : result).push_back(line.text + "\n");
      continue;
    }
    const Key& key = keys.find(line.table, line.key);
    if (shown.emplace(line.table, line.key).second) pending = {comment_of(key)};
    flush();
    result.push_back(setting_of(key, line));

    // Settings that the table lacks follow its last one.
    const std::string_view heading = keys.heading(line.table);
    const bool is_last = std::none_of(
        lines.begin() + static_cast<std::ptrdiff_t>(at) + 1, lines.end(),
        [&](const Line& later) { return later.table == line.table && !later.key.empty(); });
    if (!is_last || !heading.starts_with('[') || heading.starts_with("[[")) continue;
    for (const Key* missing : keys.of(line.table)) {
      if (!shown.emplace(line.table, missing->name).second) continue;
      result.push_back(comment_of(*missing) + "# " + std::string(missing->name) + " = " +
                       (is_toml(*missing) ? default_of(*missing).value() : example_of(*missing)) +
                       "\n");
    }
  }
  flush();
  for (const Key& key : keys.all()) {
    const bool has_lines = keys.heading(key.table).starts_with('[') || key.table.empty();
    if (has_lines && !shown.contains({std::string(key.table), std::string(key.name)}))
      throw std::runtime_error("the example lacks " + std::string(keys.heading(key.table)) + " " +
                               std::string(key.name) + ": add a line for it");
  }
  std::string text;
  for (const std::string& part : result) text += part;
  return text;
}

}  // namespace remora::reference
