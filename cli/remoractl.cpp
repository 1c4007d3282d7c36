// SPDX-License-Identifier: Apache-2.0
//
// remoractl: asks a running remorad over its control socket. 0: answered; 1: no
// daemon, or it refused; 2: wrong usage. `doctor` asks the host, too, and has exit codes
// of its own.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/reals.h"
#include "cli/status.h"
#include "version.h"

namespace {

namespace fs = std::filesystem;

// Without --instance: the only one that runs.
fs::path socket_of(const fs::path& runtime_dir, const std::string& instance) {
  if (!instance.empty()) return runtime_dir / (instance + ".sock");
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(runtime_dir, error)) {
    if (entry.path().extension() == ".sock") found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    throw std::runtime_error("no remorad runs here (no socket in " + runtime_dir.string() + ")");
  }
  throw std::runtime_error("several remorads run here; choose one with --instance");
}

// What the command line asks for.
struct Question {
  nlohmann::ordered_json request;
  bool as_json = false;
  std::string real;
  std::string group;
  std::uint32_t per_second = 0;
};

void add_question(CLI::App& app, const char* name, const char* what, Question& question,
                  const char* request) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_flag("--json", question.as_json, "as JSON");
  command->callback([&question, request] { question.request = {{"request", request}}; });
}

CLI::App* add_change(CLI::App& app, const char* name, const char* what, Question& question) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_option("address", question.real, "of the real")->required();
  command->add_option("--group", question.group, "in this group only; by default in all");
  command->add_flag("--json", question.as_json, "as JSON");
  command->callback([&question, name] {
    question.request = {{"request", name}, {"real", question.real}};
    if (!question.group.empty()) question.request["group"] = question.group;
    if (question.per_second != 0) question.request["per_second"] = question.per_second;
  });
  return command;
}

void print(const Question& question, const nlohmann::ordered_json& answer) {
  if (question.as_json) {
    std::cout << answer.dump(2) << '\n';
  } else if (question.request.at("request") == "status") {
    remora::print_status(std::cout, answer);
  } else {
    remora::print_reals(std::cout, answer.at("reals"));
  }
}

}  // namespace

int main(int argc, char** argv) {
  fs::path runtime_dir = "/run/remora";
  std::string instance;
  Question question;
  CLI::App app("Asks a running remorad");
  app.set_version_flag("--version", std::string("remoractl ") + remora::kVersion);
  app.add_option("--runtime-dir", runtime_dir, "where the control sockets are")
      ->capture_default_str();
  app.add_option("--instance", instance, "which remorad; by default the only one");
  app.require_subcommand(1);
  add_question(app, "status", "programs, tables, reals and counters", question, "status");
  CLI::App* reals = app.add_subcommand("reals", "the brokers: who takes new connections");
  reals->require_subcommand(1);
  add_question(*reals, "list", "all of them, with state, weight and flows", question, "reals");
  add_change(*reals, "drain", "no new connections; those that exist live", question);
  add_change(*reals, "evacuate", "drain; those that exist are asked to come back elsewhere",
             question)
      ->add_option("--per-second", question.per_second, "connections")
      ->required()
      ->check(CLI::Range(1, 1'000'000));
  add_change(*reals, "enable", "new connections again", question);
  remora::DoctorCommand doctor(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (doctor.is_chosen()) return doctor.run(runtime_dir, instance);

  try {
    print(question, remora::ask(socket_of(runtime_dir, instance), question.request));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "remoractl: " << error.what() << '\n';
    return 1;
  }
}
