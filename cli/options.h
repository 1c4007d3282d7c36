// SPDX-License-Identifier: Apache-2.0
//
// The command line of remoractl.
//
// options.cpp alone includes CLI11, which takes the compiler longer than the rest of a program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>

#include "cli/check.h"
#include "cli/doctor.h"

namespace remora {

// A request to remorad (daemon/protocol/requests.h), with its arguments by name. Arguments that
// were not given are empty or 0.
struct RequestOptions {
  std::string request;
  std::map<std::string, std::string> texts;
  std::map<std::string, std::int64_t> counts;
  bool as_json = false;
  bool shows_all = false;  // status: counters that are 0, too
  bool watches = false;    // status: again each second
};

struct Options {
  std::filesystem::path runtime_dir = "/run/remora";
  std::string instance;  // empty: the only one, or that of `pid`
  std::int64_t pid = 0;  // 0: any
  std::variant<RequestOptions, DoctorOptions, CheckOptions> command;
};

// The options of the command line; or an exit code if the answer has been printed (--help, a
// mistake).
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace remora
