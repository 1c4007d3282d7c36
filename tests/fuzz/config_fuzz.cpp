// SPDX-License-Identifier: Apache-2.0
//
// Any text as a configuration: it must be accepted, or refused with a ConfigError that says where
// and why.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    remora::parse_config({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  } catch (const remora::ConfigError& error) {
    if (error.problems().empty()) std::abort();
    for (const remora::Problem& problem : error.problems())
      if (problem.text.empty()) std::abort();
  }
  return 0;
}
