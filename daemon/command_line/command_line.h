// SPDX-License-Identifier: Apache-2.0
//
// Reads command lines. Exit codes and complaints are the same for all programs.
#pragma once

#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace remora {

// The environment variable that replaces the default of --runtime-dir.
constexpr const char* kRuntimeDirVariable = "REMORA_RUNTIME_DIR";

// The answer is printed already.
struct CommandLineEnd {
  int exit_code;
  std::string mistake;  // empty: none; --help or --version
};

// Reads the command line into the options of `app`. Returns how the program ends if the answer is
// printed already: --help, --version, or a mistake, which is explained in one line on standard
// error.
std::optional<CommandLineEnd> read_command_line(CLI::App& app, int argc, char** argv);

}  // namespace remora
