// SPDX-License-Identifier: Apache-2.0
#include "daemon/command_line/command_line.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/command_line/exit_codes.h"
#include "daemon/config/problem.h"

namespace remora {
namespace {

using Names = std::vector<std::string>;

// "reals" for "remoractl reals drian": the innermost command that was understood.
const CLI::App& innermost(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? app : innermost(*parsed.back());
}

Names commands_of(const CLI::App& app) {
  Names names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// The options of the command and of those around it, which may follow it, too.
Names options_of(const CLI::App& app) {
  Names names;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::string unknown(const std::string& kind, const std::string& word, const Names& known) {
  const std::vector<std::string_view> candidates(known.begin(), known.end());
  std::string text = "unknown " + kind + " " + in_quotes(word);
  if (const auto meant = closest(word, candidates))
    return text + "; did you mean \"" + std::string(*meant) + "\"?";
  return text + "; there are: " + joined(candidates);
}

std::string complaint_about(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& at = innermost(app);
  const Names commands = commands_of(at);
  const Names words = app.remaining(true);  // the words that were not understood
  if (!words.empty()) {
    const std::string& word = words.front();
    if (word.starts_with('-'))
      return unknown("option", word.substr(0, word.find('=')), options_of(at));
    if (!commands.empty()) return unknown("command", word, commands);
    return "unexpected argument " + in_quotes(word);
  }
  const bool lacks_command = !commands.empty() && dynamic_cast<const CLI::RequiredError*>(&error);
  if (!lacks_command) return error.what();
  return "a command is missing; there are: " +
         joined(std::vector<std::string_view>(commands.begin(), commands.end()));
}

}  // namespace

std::optional<CommandLineEnd> read_command_line(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::Success& asked) {
    app.exit(asked);
    return CommandLineEnd{kDone, ""};
  } catch (const CLI::ParseError& error) {
    CommandLineEnd end{kWrongUsage, complaint_about(app, error)};
    std::cerr << app.get_name() << ": " << end.mistake << " (--help shows all)\n";
    return end;
  }
}

}  // namespace remora
