// SPDX-License-Identifier: Apache-2.0
#include "daemon/commands.h"

#include <csignal>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <optional>
#include <system_error>
#include <utility>

#include "daemon/base/event_loop.h"
#include "daemon/base/link.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"
#include "daemon/protocol/start_failure.h"
#include "log/log.h"

namespace remora {
namespace {

Config load_with_warnings(const Options& options) {
  log::start("remorad", options.log_level);
  log_to_journal();
  Config config = load_config(options.places.config);
  for (const Problem& warning : config.warnings) log::warn("{}", describe(config.file, warning));
  return config;
}

}  // namespace

// SIGPIPE is ignored, so that a closed log does not end the daemon. A reload requested during the
// start is done after it, and so is a stop once the start has begun to change something.
//
// Writes down for the doctor why a start failed, unless the instance runs already.
void serve(const Options& options) {
  const auto file = start_failure_file(options.places.runtime_dir, options.places.config);
  std::optional<Daemon> daemon;
  std::signal(SIGPIPE, SIG_IGN);
  try {
    hold_signals({SIGHUP});
    Config config = load_with_warnings(options);
    hold_signals({SIGTERM, SIGINT});
    daemon.emplace(options.places, std::move(config));
  } catch (const ConfigError& error) {
    write_start_failure(file, {std::time(nullptr), true, error.what()});
    throw;
  } catch (const InstanceRuns&) {
    throw;
  } catch (const std::exception& error) {
    write_start_failure(file, {std::time(nullptr), false, error.what()});
    throw;
  }
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  daemon->run();
}

void detach(const Options& options) {
  const Config config = load_with_warnings(options);
  const bool any = detach_instance(options.places, config);
  std::cout << config.lb.instance << (any ? ": taken off " : ": nothing was on ")
            << config.lb.interface << '\n';
}

void check(const Options& options) {
  const std::string& file = options.check;
  const Config config = load_config(file);
  for (const Problem& warning : config.warnings)
    std::cerr << describe(file, warning) << " (warning)\n";
  if (!find_link(config.lb.interface)) {
    const Problem missing{
        config.line_of("lb", "interface"),
        "there is no interface \"" + config.lb.interface + "\" on this machine (warning)"};
    std::cerr << describe(file, missing) << '\n';
  }
  std::cout << file << ": ok\n";
}

}  // namespace remora
