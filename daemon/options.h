// SPDX-License-Identifier: Apache-2.0
//
// The command line of remorad.
//
// options.cpp alone includes CLI11, which takes the compiler longer than the rest of a program.
#pragma once

#include <string>
#include <variant>

#include "daemon/instance.h"

namespace remora {

struct Options {
  Places places;
  std::string check;  // a configuration to check instead of serving; empty: none
  bool detach = false;
  std::string log_level = "info";
};

// The options of the command line; or an exit code if the answer has been printed (--help, a
// mistake).
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace remora
