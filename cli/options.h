// SPDX-License-Identifier: Apache-2.0
//
// The command line of remoractl.
//
// options.cpp alone includes CLI11, which takes the compiler longer than the rest of a program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>

#include "cli/doctor.h"

namespace remora {

// A question to remorad, by its name on the control socket.
struct RequestOptions {
  std::string request;
  std::string real;
  std::string group;             // empty: all
  std::uint32_t per_second = 0;  // 0: not asked for
  bool as_json = false;
};

struct Options {
  std::filesystem::path runtime_dir = "/run/remora";
  std::string instance;  // empty: the only one
  std::variant<RequestOptions, DoctorOptions> command;
};

// What the command line asks for; or the exit code, when the answer is printed already (--help, a
// mistake).
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace remora
