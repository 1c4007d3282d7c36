// SPDX-License-Identifier: Apache-2.0
#include "daemon/instance.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "daemon/kernel/programs.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

// A folder beside the pins of an instance in shadow mode.
constexpr const char* kShadowMark = "shadow";

Fd open_lock_file(const fs::path& runtime_dir, const std::string& name) {
  std::error_code error;
  fs::create_directories(runtime_dir, error);
  const fs::path path = runtime_dir / (name + ".lock");
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) {
    throw std::runtime_error("cannot open " + path.string() + ": " + std::strerror(errno) +
                             "; run as root or choose --runtime-dir");
  }
  return file;
}

Fd open_folder(const fs::path& folder) {
  Fd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened)
    throw std::runtime_error("cannot open " + folder.string() + ": " + std::strerror(errno));
  return opened;
}

Fd locked(Fd file, const fs::path& path, const std::string& name) {
  if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno == EWOULDBLOCK) {
    throw InstanceRuns("another remorad runs instance \"" + name + "\" (it has locked " +
                       path.string() + "); stop it, or set another [lb] instance");
  }
  throw std::runtime_error("cannot lock " + path.string() + ": " + std::strerror(errno));
}

}  // namespace

Instance::Instance(const Places& places, const std::string& name)
    : name_(name),
      socket_path_(places.runtime_dir / (name + ".sock")),
      lock_(locked(open_lock_file(places.runtime_dir, name), places.runtime_dir / (name + ".lock"),
                   name)),
      pins_(pin_folder(places.bpffs, name)),
      pins_lock_(locked(open_folder(pins_), pins_, name)) {}

// The BPF file system has no files of others, but folders.
const fs::path& Instance::pins_for(Mode mode) const {
  const fs::path mark = pins_ / kShadowMark;
  const bool was_shadow = fs::exists(mark);
  const bool has_tables = std::any_of(fs::directory_iterator(pins_), fs::directory_iterator(),
                                      [&](const auto& entry) { return entry.path() != mark; });
  const bool is_shadow = mode == Mode::kShadow;
  if (has_tables && was_shadow != is_shadow) {
    throw std::runtime_error(
        std::string("[lb] mode = \"") + (is_shadow ? "shadow" : "active") +
        "\" cannot take over connections that were made in the other mode, because they are not "
        "where their groups say; remorad --detach, then start again: clients reconnect");
  }
  if (is_shadow)
    fs::create_directory(mark);
  else
    fs::remove(mark);
  return pins_;
}

void Instance::lock_pins_again() {
  Fd present = open_folder(pins_);
  struct stat now {
  }, before{};
  const bool is_same = fstat(present.get(), &now) == 0 && fstat(pins_lock_.get(), &before) == 0 &&
                       now.st_dev == before.st_dev && now.st_ino == before.st_ino;
  if (!is_same) pins_lock_ = locked(std::move(present), pins_, name_);
}

}  // namespace remora
