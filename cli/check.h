// SPDX-License-Identifier: Apache-2.0
//
// remoractl check: whether a configuration file is accepted, and what it would change.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <ostream>

namespace remora {

struct CheckOptions {
  std::filesystem::path config;  // empty: that of the running remorad, or the usual one
  bool shows_changes = false;
};

// Prints the result for people. `in_force`: remorad's answer to the request `config`, for the
// changes against it. Returns the exit code. Throws ConfigError if the file is refused.
int check(const CheckOptions& options, const nlohmann::ordered_json& in_force, std::ostream& out);

// The same without a running remorad.
int check(const CheckOptions& options, std::ostream& out);

}  // namespace remora
