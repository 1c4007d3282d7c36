// SPDX-License-Identifier: Apache-2.0
//
// `remoractl doctor`: looks at this host and says what is wrong. Changes nothing.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace remora {

class DoctorCommand {
 public:
  // Adds the subcommand; must outlive the parsing of `app`.
  explicit DoctorCommand(CLI::App& app);

  bool is_chosen() const { return command_->parsed(); }

  // Prints what it found. 0: nothing is wrong; 1: something is; 2: it could not look.
  int run(const std::filesystem::path& runtime_dir, const std::string& instance) const;

 private:
  CLI::App* command_;
  bool as_json_ = false;
  bool is_broker_ = false;
  std::string config_;
  std::string bpffs_ = "/sys/fs/bpf";
  std::string interface_;
  std::vector<std::string> services_;
  std::vector<std::string> vips_;
  std::vector<std::string> clients_;
};

}  // namespace remora
