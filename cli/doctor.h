// SPDX-License-Identifier: Apache-2.0
//
// `remoractl doctor`: examines this host and reports what is wrong. Changes nothing.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace remora {

struct DoctorOptions {
  bool as_json = false;
  bool is_broker = false;
  std::string config;  // empty: the default path
  std::string bpffs = "/sys/fs/bpf";
  std::string interface;
  std::vector<std::string> services;
  std::vector<std::string> vips;
  std::vector<std::string> clients;
};

// Prints its findings. 0: nothing is wrong; 1: something is; 2: it could not look.
int run_doctor(const DoctorOptions& options, const std::filesystem::path& runtime_dir,
               const std::string& instance);

}  // namespace remora
