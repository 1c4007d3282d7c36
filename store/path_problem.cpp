// SPDX-License-Identifier: Apache-2.0
#include "store/path_problem.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

namespace remora {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAnotherPath = ", or set another [store] path";

bool is_on_read_only_file_system(const fs::path& path) {
  struct statvfs status {};
  return ::statvfs(path.c_str(), &status) == 0 && (status.f_flag & ST_RDONLY) != 0;
}

std::string in_quotes(const fs::path& path) {
  return "'" + path.string() + "'";
}

}  // namespace

std::string path_problem(const fs::path& path) {
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const fs::file_status link = fs::symlink_status(path, error);
  const fs::file_status file = fs::status(path, error);

  if (fs::is_directory(file)) return in_quotes(path) + " is a directory: name a file in it";
  if (fs::is_symlink(link) && !fs::exists(file)) {
    return in_quotes(path) + " is a link to " + in_quotes(fs::read_symlink(path, error)) +
           ", which does not exist: create it, or remove the link";
  }
  if (fs::exists(file) && !fs::is_regular_file(file)) {
    return in_quotes(path) + " is not a regular file: remove it" + kAnotherPath;
  }
  if (!fs::exists(fs::status(folder, error))) {
    return "the directory " + in_quotes(folder) + " does not exist: create it" + kAnotherPath;
  }
  if (!fs::is_directory(fs::status(folder, error))) {
    return in_quotes(folder) + " is not a directory: make one" + kAnotherPath;
  }
  if (is_on_read_only_file_system(folder)) {
    return in_quotes(folder) + " is on a read-only file system: mount it writable" + kAnotherPath;
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return "the directory " + in_quotes(folder) + " is not writable for user " +
           std::to_string(::geteuid()) + ": make it so" + kAnotherPath;
  }
  if (fs::exists(file) && ::access(path.c_str(), R_OK | W_OK) != 0) {
    return in_quotes(path) + " is not readable and writable for user " +
           std::to_string(::geteuid()) + ": make it so" + kAnotherPath;
  }
  return "";
}

}  // namespace remora
