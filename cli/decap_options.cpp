// SPDX-License-Identifier: Apache-2.0
#include "cli/decap_options.h"

#include <CLI/CLI.hpp>

#include "version.h"

namespace remora {

std::variant<DecapOptions, int> parse_decap_options(int argc, char** argv) {
  DecapOptions options;
  CLI::App app("Strips the outer header of IPIP packets on a broker host");
  app.set_version_flag("--version", std::string("remora-decap ") + kVersion);
  app.add_option("interface", options.interface,
                 "where the load balancer's packets arrive; by default that of the file");
  app.add_option(
      "--config", options.config,
      std::string("configuration file; by default ") + kDefaultDecapConfig + ", if there is one");
  app.add_option("--check", options.check, "check a configuration file and exit; needs no root");
  app.add_flag("--detach", options.detach, "take the program off again");
  app.add_flag("--generic", options.generic, "for drivers without native XDP");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return options;
}

}  // namespace remora
