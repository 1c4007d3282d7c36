// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

namespace remora::bench {
namespace {

constexpr const char* kVulnerabilities = "/sys/devices/system/cpu/vulnerabilities";

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(": ") + 2);
  return "unknown";
}

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

Machine this_machine() {
  utsname kernel{};
  uname(&kernel);
  Machine machine{cpu_model(), std::thread::hardware_concurrency(), kernel.release, {}};
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(kVulnerabilities, unreadable)) {
    const std::string state = first_line(entry.path());
    if (state != "Not affected") machine.mitigations.emplace_back(entry.path().filename(), state);
  }
  std::ranges::sort(machine.mitigations);
  return machine;
}

}  // namespace remora::bench
