// SPDX-License-Identifier: Apache-2.0
//
// Writes the parts of documents that describe keys and counters, from the lists in the code.
//
//   write_reference [--check] SOURCE_FOLDER
//
// In Markdown and man pages it writes between "reference: NAME" and "reference: end"; in the
// example configurations, the comments above the settings. --check changes nothing: it names
// the files that are out of date, and exits with 1 if there are any.
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

#include "cli/decap_config.h"
#include "tests/reference/config_reference.h"
#include "tests/reference/counter_reference.h"

namespace remora::reference {
namespace {

namespace fs = std::filesystem;

// The texts that can stand between the marks, by name.
using Parts = std::map<std::string, std::function<std::string()>>;

Parts markdown_parts() {
  Parts parts;
  for (const Table& table : config_keys().tables())
    parts["keys " + std::string(table.name)] = [=] { return key_table(config_keys(), table.name); };
  parts["memory"] = memory_table;
  parts["counters of the kernel"] = [] { return counter_table(kernel_counters()); };
  parts["counters of the daemon"] = [] { return counter_table(daemon_counters()); };
  return parts;
}

Parts man_parts() {
  Parts parts;
  for (const Table& table : config_keys().tables())
    parts["keys " + std::string(table.name)] = [=] {
      return key_entries(config_keys(), table.name);
    };
  for (const Table& table : decap_keys().tables())
    parts["decap keys" + (table.name.empty() ? "" : " " + std::string(table.name))] = [=] {
      return key_entries(decap_keys(), table.name);
    };
  parts["changes that need a restart"] = [] {
    return keys_that_need(config_keys(), Change::kRestart);
  };
  parts["changes that need a detach"] = [] {
    return keys_that_need(config_keys(), Change::kDetach);
  };
  return parts;
}

// `text` with up-to-date parts.
std::string rewritten(const std::string& text, const Parts& parts) {
  constexpr std::string_view kMark = "reference: ", kEnd = "reference: end";
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    result += line + "\n";
    const std::size_t mark = line.find(kMark);
    if (mark == std::string::npos) continue;
    std::string name = line.substr(mark + kMark.size());
    if (const std::size_t end = name.find(" -->"); end != std::string::npos) name.resize(end);
    const auto part = parts.find(name);
    if (part == parts.end()) throw std::runtime_error("nothing is called \"" + name + "\"");
    result += part->second();
    while (line.find(kEnd) == std::string::npos)
      if (!std::getline(lines, line)) throw std::runtime_error("\"" + name + "\" has no end");
    result += line + "\n";
  }
  return result;
}

std::string read(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("it cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Document {
  const char* path;
  std::function<std::string(const std::string&)> rewrite;
};

int run(const fs::path& source, bool only_check) {
  const auto markdown = [](const std::string& text) { return rewritten(text, markdown_parts()); };
  const auto man = [](const std::string& text) { return rewritten(text, man_parts()); };
  const Document documents[] = {
      {"docs/config.md", markdown},
      {"docs/counters.md", markdown},
      {"docs/man/remora.toml.5.scd", man},
      {"docs/man/remora-decap.8.scd", man},
      {"systemd/remora.toml",
       [](const std::string& text) { return with_comments(config_keys(), text); }},
      {"systemd/decap.toml",
       [](const std::string& text) { return with_comments(decap_keys(), text); }},
  };
  int stale = 0;
  for (const auto& [path, rewrite] : documents) {
    try {
      const std::string text = read(source / path), next = rewrite(text);
      if (text == next) continue;
      ++stale;
      if (!only_check) std::ofstream(source / path) << next;
      std::cout << path << (only_check ? " is out of date" : " written") << '\n';
    } catch (const std::exception& error) {
      throw std::runtime_error(std::string(path) + ": " + error.what());
    }
  }
  if (!only_check || stale == 0) return 0;
  std::cout << "run scripts/write-reference\n";
  return 1;
}

}  // namespace
}  // namespace remora::reference

int main(int argc, char** argv) {
  const bool only_check = argc == 3 && std::string_view(argv[1]) == "--check";
  if (argc != 2 && !only_check) {
    std::cerr << "write_reference: use: write_reference [--check] SOURCE_FOLDER\n";
    return 2;
  }
  try {
    return remora::reference::run(argv[argc - 1], only_check);
  } catch (const std::exception& error) {
    std::cerr << "write_reference: " << error.what() << '\n';
    return 1;
  }
}
