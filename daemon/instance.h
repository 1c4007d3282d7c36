// SPDX-License-Identifier: Apache-2.0
//
// One daemon per instance: the locks that stop a second one, the control socket and the pins.
//
// The folder of the pins is locked, too. Otherwise a second daemon with other runtime files, or
// started after the lock file was deleted, would take over maps that are in use.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "daemon/base/handles.h"
#include "daemon/config/config.h"

namespace remora {

struct Places {
  std::filesystem::path config = "/etc/remora/remora.toml";
  std::filesystem::path runtime_dir = "/run/remora";
  std::filesystem::path bpffs = "/sys/fs/bpf";
};

// Another daemon runs the instance. The doctor does not report this as a failed start.
class InstanceRuns : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Instance {
 public:
  // Takes the locks of the instance, and makes the folders if necessary. Throws InstanceRuns if
  // another daemon holds one, and std::runtime_error.
  Instance(const Places& places, const std::string& name);

  // The folder of the pins may have been removed and made again: locks the new one. Throws
  // InstanceRuns if another daemon holds its lock.
  void lock_pins_again();

  // The folder of the pins, for a daemon in `mode`. Throws std::runtime_error if the tables in it
  // are of the other mode.
  const std::filesystem::path& pins_for(Mode mode) const;

  const std::filesystem::path& socket_path() const { return socket_path_; }
  const std::filesystem::path& pins() const { return pins_; }

 private:
  const std::string name_;
  const std::filesystem::path socket_path_;
  const Fd lock_;
  const std::filesystem::path pins_;
  Fd pins_lock_;
};

}  // namespace remora
