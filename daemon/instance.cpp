// SPDX-License-Identifier: Apache-2.0
#include "daemon/instance.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace remora {

Instance::Instance(const std::filesystem::path& runtime_dir, const std::string& name)
    : socket_path_(runtime_dir / (name + ".sock")) {
  std::error_code error;
  std::filesystem::create_directories(runtime_dir, error);
  const std::filesystem::path path = runtime_dir / (name + ".lock");
  lock_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_) {
    throw std::runtime_error("cannot open " + path.string() + ": " + std::strerror(errno) +
                             "; run as root or choose --runtime-dir");
  }
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK) {
    throw std::runtime_error("another remorad runs instance \"" + name +
                             "\"; stop it, or set another [lb] instance");
  }
  throw std::runtime_error("cannot lock " + path.string() + ": " + std::strerror(errno));
}

}  // namespace remora
