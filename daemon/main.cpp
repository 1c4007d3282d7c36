// SPDX-License-Identifier: Apache-2.0
//
// remorad. Exit codes: 0: done; 1: it could not run; 2: the configuration is wrong.
#include <iostream>

#include "daemon/commands.h"
#include "daemon/config/config.h"

namespace {

constexpr int kFailed = 1;
constexpr int kBadConfig = 2;

void run(const remora::Options& options) {
  if (!options.check.empty())
    check(options);
  else if (options.detach)
    detach(options);
  else
    serve(options);
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = remora::parse_options(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  try {
    run(std::get<remora::Options>(parsed));
    return 0;
  } catch (const remora::ConfigError& error) {
    std::cerr << error.what() << '\n';
    return kBadConfig;
  } catch (const std::exception& error) {
    std::cerr << "remorad: " << error.what() << '\n';
    return kFailed;
  }
}
