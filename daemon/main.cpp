// SPDX-License-Identifier: Apache-2.0
//
// remorad: what it does, and its exit codes. 0: all well; 1: it could not run; 2: the
// configuration is wrong.
#include <iostream>

#include "daemon/daemon.h"
#include "daemon/options.h"
#include "log/log.h"

namespace {

constexpr int kFailed = 1;
constexpr int kBadConfig = 2;

void print_warnings(const remora::Config& config) {
  for (const auto& warning : config.warnings) {
    remora::log::warn("{}", remora::describe(config.file, warning));
  }
}

int check(const std::string& file) {
  const remora::Config config = remora::load_config(file);
  for (const auto& warning : config.warnings) {
    std::cerr << remora::describe(file, warning) << " (warning)\n";
  }
  if (!remora::find_link(config.lb.interface)) {
    std::cerr << remora::describe(file, {config.line_of("lb", "interface"),
                                         "there is no interface \"" + config.lb.interface +
                                             "\" on this machine (warning)"})
              << '\n';
  }
  std::cout << file << ": ok\n";
  return 0;
}

int serve(const remora::Options& options) {
  remora::log::start("remorad", options.log_level);
  remora::Config config = remora::load_config(options.places.config);
  print_warnings(config);
  if (options.detach) {
    const bool any = remora::detach(options.places, config);
    std::cout << config.lb.instance << (any ? ": taken off " : ": nothing was on ")
              << config.lb.interface << '\n';
    return 0;
  }
  remora::Daemon daemon(options.places, std::move(config));
  daemon.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = remora::parse_options(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<remora::Options>(parsed);
  try {
    return options.check.empty() ? serve(options) : check(options.check);
  } catch (const remora::ConfigError& error) {
    std::cerr << error.what() << '\n';
    return kBadConfig;
  } catch (const std::exception& error) {
    std::cerr << "remorad: " << error.what() << '\n';
    return kFailed;
  }
}
