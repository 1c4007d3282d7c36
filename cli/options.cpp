// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <CLI/CLI.hpp>

#include "cli/service_at.h"
#include "daemon/command_line/command_line.h"
#include "daemon/protocol/requests.h"
#include "version.h"

namespace remora {
namespace {

// The subcommand for the words of a request, such as "reals drain".
CLI::App* add_command(CLI::App& app, const RequestKind& kind) {
  const auto space = kind.command.find(' ');
  const std::string meaning(kind.meaning);
  if (space == std::string_view::npos)
    return app.add_subcommand(std::string(kind.command), meaning);
  const std::string family(kind.command.substr(0, space));
  const auto known =
      app.get_subcommands([&](const CLI::App* each) { return each->get_name() == family; });
  CLI::App* parent =
      known.empty()
          ? app.add_subcommand(family,
                               (family == "reals" ? "show and change the " : "show the ") + family)
          : known.front();
  parent->require_subcommand(1);
  return parent->add_subcommand(std::string(kind.command.substr(space + 1)), meaning);
}

void add_argument(CLI::App& command, const RequestArgument& argument, RequestOptions& options) {
  const std::string name(argument.name), option(argument.option), meaning(argument.meaning);
  CLI::Option* added = nullptr;
  switch (argument.type) {
    case RequestArgument::Type::kText:
      added = command.add_option(option, options.texts[name], meaning);
      break;
    case RequestArgument::Type::kCount:
      added = command.add_option(option, options.counts[name], meaning)
                  ->check(CLI::Range(std::int64_t{1}, kMostCount));
      break;
  }
  added->required(argument.is_required);
}

void add_requests(CLI::App& app, RequestOptions& options) {
  for (const RequestKind& kind : request_kinds()) {
    if (kind.command.empty()) continue;
    CLI::App* command = add_command(app, kind);
    command->add_flag("--json", options.as_json, "as JSON");
    for (const RequestArgument& argument : kind.arguments)
      add_argument(*command, argument, options);
    if (kind.name == "status") {
      command->add_flag("--all", options.shows_all, "counters that are 0, too");
      command->add_flag("--watch", options.watches, "again each second, until interrupted");
    }
    command->callback([&options, &kind] { options.request = kind.name; });
  }
}

std::string address_problem(const std::string& text) {
  return Address::parse(text) ? "" : "\"" + text + "\" is no IPv4 or IPv6 address";
}

std::string service_problem(const std::string& text) {
  if (parse_service(text)) return "";
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

CLI::App* add_check(CLI::App& app, CheckOptions& options) {
  CLI::App* command =
      app.add_subcommand("check", "whether a configuration file is accepted; changes nothing");
  command->add_flag("--diff", options.shows_changes,
                    "what a reload of the file would change in the running remorad");
  command->add_option("--config", options.config,
                      "/etc/remora/remora.toml, or with --diff the file of the running remorad");
  return command;
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  RequestOptions request;
  DoctorOptions doctor;
  CheckOptions check;
  CLI::App app("Asks a running remorad", "remoractl");
  app.fallthrough();  // the options of all commands work after the command, too
  app.set_version_flag("--version", std::string("remoractl ") + kVersion);
  app.add_option("--runtime-dir", options.runtime_dir, "where the control sockets are")
      ->envname(kRuntimeDirVariable)
      ->capture_default_str();
  app.add_option("--instance", options.instance, "which remorad; by default the only one");
  app.add_option("--pid", options.pid, "which remorad, by its process")->check(CLI::PositiveNumber);
  bool as_json = false;
  app.add_flag("--json", as_json, "as JSON");
  app.require_subcommand(1);
  add_requests(app, request);
  const CLI::App* doctor_command = add_doctor(app, doctor);
  const CLI::App* check_command = add_check(app, check);
  if (const auto end = read_command_line(app, argc, argv)) return end->exit_code;
  request.as_json |= as_json;
  doctor.as_json |= as_json;
  if (doctor_command->parsed()) {
    options.command = doctor;
  } else if (check_command->parsed()) {
    options.command = check;
  } else {
    options.command = request;
  }
  return options;
}

}  // namespace remora
