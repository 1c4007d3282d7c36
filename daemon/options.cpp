// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <ctime>

#include "daemon/command_line/command_line.h"
#include "daemon/protocol/start_failure.h"
#include "version.h"

namespace remora {
namespace {

// A mistake at a shell, perhaps beside a running remorad, is no failed start.
bool is_started_by_systemd() {
  return std::getenv("NOTIFY_SOCKET") != nullptr;
}

// For the doctor.
void leave_failure(const Places& places, const std::string& mistake) {
  write_start_failure(start_failure_file(places.runtime_dir, places.config),
                      {std::time(nullptr), false,
                       "its command line is wrong: " + mistake +
                           "; correct ExecStart= of the unit (systemctl cat remora)"});
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  CLI::App app("Topic-based load balancing of MQTT publishers at layer 4", "remorad");
  app.set_version_flag("--version", std::string("remorad ") + kVersion);
  app.add_option("--config", options.places.config, "configuration file")->capture_default_str();
  app.add_option("--check", options.check, "check a configuration file and exit; needs no root");
  app.add_flag("--detach", options.detach, "take the instance off its interface and exit");
  app.add_option("--runtime-dir", options.places.runtime_dir, "lock and control socket")
      ->envname(kRuntimeDirVariable)
      ->capture_default_str();
  app.add_option("--bpffs", options.places.bpffs, "mounted BPF file system")->capture_default_str();
  app.add_option("--log-level", options.log_level, "trace, debug, info, warning, error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
      ->capture_default_str();
  if (const auto end = read_command_line(app, argc, argv)) {
    if (!end->mistake.empty() && is_started_by_systemd())
      leave_failure(options.places, end->mistake);
    return end->exit_code;
  }
  return options;
}

}  // namespace remora
