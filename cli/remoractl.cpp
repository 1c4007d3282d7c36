// SPDX-License-Identifier: Apache-2.0
//
// remoractl: asks a running remorad over its control socket; `doctor` asks the host, too.
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/check.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/options.h"
#include "cli/reals.h"
#include "cli/status.h"
#include "cli/views.h"
#include "daemon/command_line/exit_codes.h"
#include "daemon/config/problem.h"

namespace {

namespace fs = std::filesystem;

// Without --instance and --pid: the only instance that runs.
fs::path socket_of(const remora::Options& options) {
  const fs::path& runtime_dir = options.runtime_dir;
  if (!options.instance.empty()) return runtime_dir / (options.instance + ".sock");
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(runtime_dir, error)) {
    if (entry.path().extension() != ".sock") continue;
    if (options.pid == 0 || remora::listener_of(entry.path()) == options.pid)
      found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    throw std::runtime_error("no remorad runs here (no socket in " + runtime_dir.string() + ")");
  }
  throw std::runtime_error("several remorads run here; choose one with --instance");
}

nlohmann::ordered_json to_json(const remora::RequestOptions& options) {
  nlohmann::ordered_json request = {{"request", options.request}};
  for (const auto& [name, text] : options.texts)
    if (!text.empty()) request[name] = text;
  for (const auto& [name, count] : options.counts)
    if (count != 0) request[name] = count;
  return request;
}

void print(const remora::RequestOptions& options, const nlohmann::ordered_json& answer) {
  if (options.as_json) {
    std::cout << answer.dump(2) << '\n';
  } else if (options.request == "status") {
    remora::print_status(std::cout, answer,
                         options.shows_all ? remora::Shown::kAll : remora::Shown::kAboveZero);
  } else if (remora::print_view(std::cout, options.request, answer)) {
    return;
  } else if (options.request == "reload") {
    std::cout << answer.at("file").get<std::string>() << " is in force";
    const auto changes = answer.value("changes", nlohmann::ordered_json::array());
    std::cout << (changes.empty() ? ": nothing has changed\n" : ":\n");
    for (const auto& change : changes) std::cout << change.get<std::string>() << '\n';
  } else {
    remora::print_reals(std::cout, answer.at("reals"));
  }
}

bool is_in_order(const nlohmann::ordered_json& answer) {
  return remora::problems_of(answer).empty() && answer.value("ready", true);
}

// Prints the answer again each second. Each time it asks on a connection of its own, so that a
// restart of remorad does not end it.
int watch(const remora::RequestOptions& request, const remora::Options& options) {
  constexpr const char* kClearScreen = "\x1b[H\x1b[2J";
  for (;;) {
    try {
      const auto answer = remora::ask(socket_of(options), to_json(request));
      std::cout << (isatty(STDOUT_FILENO) != 0 && !request.as_json ? kClearScreen : "");
      print(request, answer);
    } catch (const std::exception& error) {
      std::cout << "remoractl: " << error.what() << '\n';
    }
    if (!std::cout.flush()) return remora::kFailed;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

int check(const remora::CheckOptions& check, const remora::Options& options) {
  if (!check.shows_changes) return remora::check(check, std::cout);
  return remora::check(check, remora::ask(socket_of(options), {{"request", "config"}}), std::cout);
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = remora::parse_options(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<remora::Options>(parsed);
  if (const auto* doctor = std::get_if<remora::DoctorOptions>(&options.command)) {
    return run_doctor(*doctor, options.runtime_dir, options.instance);
  }

  try {
    if (const auto* file = std::get_if<remora::CheckOptions>(&options.command))
      return check(*file, options);
    const auto& request = std::get<remora::RequestOptions>(options.command);
    if (request.watches) return watch(request, options);
    const auto answer = remora::ask(socket_of(options), to_json(request));
    print(request, answer);
    return is_in_order(answer) ? remora::kDone : remora::kNotInOrder;
  } catch (const remora::ConfigError& error) {
    std::cerr << error.what() << '\n';
    return remora::kWrongUsage;
  } catch (const std::exception& error) {
    std::cerr << "remoractl: " << error.what() << '\n';
    return remora::kFailed;
  }
}
