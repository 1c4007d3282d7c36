// SPDX-License-Identifier: Apache-2.0
//
// katran_server_stand_in: serves until SIGTERM; SIGHUP makes it read the plan again. Its program
// stays in the slot when it ends, as that of a Katran server does.
#include <bpf/libbpf.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "tests/katran_server/katran_server.h"

namespace {

constexpr int kFailed = 1;

struct Options {
  std::string object, plan, root_array;
  std::uint32_t position = 2;
  bool clear_at_end = false;
};

remora::KatranPlan read_plan(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  try {
    return remora::parse_katran_plan(text);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
}

// Applies the plan as at start, but an invalid plan changes nothing.
void read_again(remora::KatranServer& server, const std::string& path) {
  try {
    server.apply(read_plan(path));
    std::cerr << "katran_server_stand_in: " << path << " is in force\n";
  } catch (const std::exception& error) {
    std::cerr << "katran_server_stand_in: " << error.what() << '\n';
  }
}

void serve(const Options& options) {
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&awaited, number);
  sigprocmask(SIG_BLOCK, &awaited, nullptr);

  remora::KatranServer server(options.object);
  server.apply(read_plan(options.plan));
  server.insert(options.root_array, options.position);
  int number = 0;
  while (sigwait(&awaited, &number) == 0 && number == SIGHUP) read_again(server, options.plan);
  if (options.clear_at_end) remora::clear_slot(options.root_array, options.position);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Stands in for a Katran server in shared mode");
  app.add_option("--object", options.object, "Katran's balancer.bpf.o")->required();
  app.add_option("--plan", options.plan, "JSON: gateway, VIPs and their reals")->required();
  app.add_option("--map-path", options.root_array, "the pinned root array")->required();
  app.add_option("--prog-pos", options.position, "its slot for Katran")->capture_default_str();
  app.add_flag("--clear-at-end", options.clear_at_end, "leave the slot empty");
  CLI11_PARSE(app, argc, argv);
  libbpf_set_print(nullptr);
  try {
    serve(options);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "katran_server_stand_in: " << error.what() << '\n';
    return kFailed;
  }
}
