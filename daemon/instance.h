// SPDX-License-Identifier: Apache-2.0
//
// One daemon an instance: the lock that a second one meets, and the runtime
// files beside it.
#pragma once

#include <filesystem>
#include <string>

#include "daemon/base/handles.h"

namespace remora {

struct Places {
  std::filesystem::path config = "/etc/remora/remora.toml";
  std::filesystem::path runtime_dir = "/run/remora";
  std::filesystem::path bpffs = "/sys/fs/bpf";
};

class Instance {
 public:
  // Takes the lock of the instance, making the folder if need be. Throws
  // std::runtime_error when another daemon holds it.
  Instance(const std::filesystem::path& runtime_dir, const std::string& name);

  const std::filesystem::path& socket_path() const { return socket_path_; }

 private:
  Fd lock_;
  std::filesystem::path socket_path_;
};

}  // namespace remora
