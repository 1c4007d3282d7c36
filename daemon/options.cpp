// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <CLI/CLI.hpp>

#include "daemon/command_line/command_line.h"
#include "version.h"

namespace remora {

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
  if (const auto exit_code = read_command_line(app, argc, argv)) return *exit_code;
  return options;
}

}  // namespace remora
