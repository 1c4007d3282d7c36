// SPDX-License-Identifier: Apache-2.0
//
// remoractl: asks a running remorad over its control socket. 0: answered; 1: no
// daemon, or it refused; 2: wrong usage.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "cli/client.h"
#include "cli/status.h"

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

}  // namespace

int main(int argc, char** argv) {
  fs::path runtime_dir = "/run/remora";
  std::string instance;
  bool as_json = false;
  CLI::App app("Asks a running remorad");
  app.set_version_flag("--version", REMORA_VERSION);
  app.add_option("--runtime-dir", runtime_dir, "where the control sockets are")
      ->capture_default_str();
  app.add_option("--instance", instance, "which remorad; by default the only one");
  app.require_subcommand(1);
  CLI::App* status = app.add_subcommand("status", "programs, tables and counters");
  status->add_flag("--json", as_json, "as JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  try {
    const nlohmann::ordered_json answer =
        remora::ask(socket_of(runtime_dir, instance), {{"request", "status"}});
    if (as_json) {
      std::cout << answer.dump(2) << '\n';
    } else {
      remora::print_status(std::cout, answer);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "remoractl: " << error.what() << '\n';
    return 1;
  }
}
