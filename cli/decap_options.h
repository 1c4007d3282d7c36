// SPDX-License-Identifier: Apache-2.0
//
// The command line of remora-decap.
//
// decap_options.cpp alone includes CLI11, which takes the compiler longer than the rest of a
// program.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cli/service_at.h"

namespace remora {

struct DecapOptions {
  std::string interface;            // empty: that of the configuration
  std::string config;               // empty: kDefaultDecapConfig, if there is one
  std::string check;                // a configuration to check instead of attaching; empty: none
  std::vector<ServiceAt> services;  // in addition to those of the configuration
  bool detach = false;
  bool generic = false;
};

inline constexpr const char* kDefaultDecapConfig = "/etc/remora/decap.toml";

// The options of the command line; or an exit code if the answer has been printed (--help, a
// mistake).
std::variant<DecapOptions, int> parse_decap_options(int argc, char** argv);

}  // namespace remora
