// SPDX-License-Identifier: Apache-2.0
//
// remorad: command line and exit codes. 0: all well; 1: it could not run; 2: the
// configuration is wrong.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "daemon/daemon.h"
#include "version.h"

namespace {

constexpr int kFailed = 1;
constexpr int kBadConfig = 2;

struct Options {
  remora::Places places;
  std::string check;
  bool detach = false;
  std::string log_level = "info";
};

void start_log(const std::string& level) {
  auto log = spdlog::stderr_logger_mt("remorad");
  // Under systemd the journal has its own time.
  log->set_pattern(std::getenv("JOURNAL_STREAM") ? "%l: %v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
  spdlog::set_default_logger(log);
  spdlog::set_level(spdlog::level::from_str(level));
}

void print_warnings(const remora::Config& config) {
  for (const auto& warning : config.warnings) {
    spdlog::warn("{}", remora::describe(config.file, warning));
  }
}

int check(const std::string& file) {
  const remora::Config config = remora::load_config(file);
  for (const auto& warning : config.warnings) {
    std::cerr << remora::describe(file, warning) << " (warning)\n";
  }
  if (!remora::find_link(config.lb.interface)) {
    std::cerr << remora::describe(file, {config.lb.interface_line,
                                         "there is no interface \"" + config.lb.interface +
                                             "\" on this machine (warning)"})
              << '\n';
  }
  std::cout << file << ": ok\n";
  return 0;
}

int serve(const Options& options) {
  start_log(options.log_level);
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
  Options options;
  CLI::App app("Topic-based load balancing of MQTT publishers at layer 4");
  app.set_version_flag("--version", std::string("remorad ") + remora::kVersion);
  app.add_option("--config", options.places.config, "configuration file")->capture_default_str();
  app.add_option("--check", options.check, "check a configuration file and exit; needs no root");
  app.add_flag("--detach", options.detach, "take the instance off its interface and exit");
  app.add_option("--runtime-dir", options.places.runtime_dir, "lock and control socket")
      ->capture_default_str();
  app.add_option("--bpffs", options.places.bpffs, "mounted BPF file system")->capture_default_str();
  app.add_option("--log-level", options.log_level, "trace, debug, info, warning, error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

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
