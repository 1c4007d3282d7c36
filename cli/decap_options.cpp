// SPDX-License-Identifier: Apache-2.0
#include "cli/decap_options.h"

#include <CLI/CLI.hpp>

#include "daemon/command_line/command_line.h"
#include "version.h"

namespace remora {
namespace {

std::string service_problem(const std::string& text) {
  const auto service = parse_service(text);
  if (service && service->port != 0) return "";
  return "\"" + text + "\" is no service; write 10.1.50.200:1883 or [fc00:50::200]:1883";
}

}  // namespace

std::variant<DecapOptions, int> parse_decap_options(int argc, char** argv) {
  DecapOptions options;
  std::vector<std::string> services;
  CLI::App app("Removes the outer header of IPIP packets on a broker host", "remora-decap");
  app.set_version_flag("--version", std::string("remora-decap ") + kVersion);
  app.add_option("interface", options.interface,
                 "interface on which the load balancer's packets arrive; default: the file's");
  app.add_option(
      "--config", options.config,
      std::string("configuration file; default: ") + kDefaultDecapConfig + ", if it exists");
  app.add_option("--service", services,
                 "ADDRESS:PORT of a service of this broker, beside those of the file; repeatable")
      ->allow_extra_args(false)  // the interface may follow
      ->check(service_problem);
  app.add_option("--check", options.check, "check a configuration file and exit; needs no root");
  app.add_flag("--detach", options.detach, "detach the program");
  app.add_flag("--generic", options.generic, "for drivers without native XDP");
  if (const auto end = read_command_line(app, argc, argv)) return end->exit_code;
  for (const std::string& service : services) options.services.push_back(*parse_service(service));
  return options;
}

}  // namespace remora
