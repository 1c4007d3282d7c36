// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <CLI/CLI.hpp>

#include "cli/doctor/broker_facts.h"
#include "version.h"

namespace remora {
namespace {

CLI::App* add_request(CLI::App& app, const char* name, const char* what, RequestOptions& options,
                      const char* request) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_flag("--json", options.as_json, "as JSON");
  command->callback([&options, request] { options.request = request; });
  return command;
}

CLI::App* add_change(CLI::App& app, const char* name, const char* what, RequestOptions& options) {
  CLI::App* command = add_request(app, name, what, options, name);
  command->add_option("address", options.real, "of the real")->required();
  command->add_option("--group", options.group, "in this group only; by default in all");
  return command;
}

void add_requests(CLI::App& app, RequestOptions& options) {
  add_request(app, "status", "programs, tables, reals and counters", options, "status");
  CLI::App* reals = app.add_subcommand("reals", "the brokers: who takes new connections");
  reals->require_subcommand(1);
  add_request(*reals, "list", "all of them, with state, weight and flows", options, "reals");
  add_change(*reals, "drain", "no new connections; those that exist live", options);
  add_change(*reals, "evacuate", "drain; those that exist are asked to come back elsewhere",
             options)
      ->add_option("--per-second", options.per_second, "connections")
      ->required()
      ->check(CLI::Range(1, 1'000'000));
  add_change(*reals, "enable", "new connections again", options);
}

std::string address_problem(const std::string& text) {
  return Address::parse(text) ? "" : "\"" + text + "\" is no IPv4 or IPv6 address";
}

std::string service_problem(const std::string& text) {
  if (doctor::parse_service(text)) return "";
  return "\"" + text + "\" is no service; write 10.1.50.200:1883 or [fc00:50::200]:1883";
}

CLI::App* add_doctor(CLI::App& app, DoctorOptions& options) {
  CLI::App* command = app.add_subcommand("doctor", "what is wrong on this host, and the remedy");
  command->add_flag("--json", options.as_json, "as JSON");
  CLI::Option* broker = command->add_flag("--broker", options.is_broker, "this is a broker host");
  command->add_option("--config", options.config,
                      "/etc/remora/remora.toml, or with --broker /etc/remora/decap.toml");
  command->add_option("--bpffs", options.bpffs, "mounted BPF file system")
      ->capture_default_str()
      ->excludes(broker);
  command
      ->add_option("--service", options.services, "ADDRESS:PORT that the broker serves; repeatable")
      ->check(service_problem)
      ->needs(broker);
  command->add_option("--interface", options.interface, "where the load balancer's packets arrive")
      ->needs(broker);
  command->add_option("--vip", options.vips, "behind Katran: of a group of the broker; repeatable")
      ->check(address_problem)
      ->needs(broker);
  command->add_option("--client", options.clients, "an address that stands for all clients")
      ->check(address_problem)
      ->needs(broker);
  return command;
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  RequestOptions request;
  DoctorOptions doctor;
  CLI::App app("Asks a running remorad");
  app.set_version_flag("--version", std::string("remoractl ") + kVersion);
  app.add_option("--runtime-dir", options.runtime_dir, "where the control sockets are")
      ->capture_default_str();
  app.add_option("--instance", options.instance, "which remorad; by default the only one");
  app.require_subcommand(1);
  add_requests(app, request);
  const CLI::App* doctor_command = add_doctor(app, doctor);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (doctor_command->parsed()) {
    options.command = doctor;
  } else {
    options.command = request;
  }
  return options;
}

}  // namespace remora
