// SPDX-License-Identifier: Apache-2.0
//
// Reads command lines. Exit codes and complaints are the same for all programs.
#pragma once

#include <optional>

namespace CLI {
class App;
}

namespace remora {

// The environment variable that replaces the default of --runtime-dir.
constexpr const char* kRuntimeDirVariable = "REMORA_RUNTIME_DIR";

// Reads the command line into the options of `app`. Returns an exit code if the answer has been
// printed: --help, --version, or a mistake, explained in one line on standard error.
std::optional<int> read_command_line(CLI::App& app, int argc, char** argv);

}  // namespace remora
