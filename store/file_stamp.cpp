// SPDX-License-Identifier: Apache-2.0
#include "store/file_stamp.h"

#include <sys/stat.h>

namespace remora {

std::optional<FileStamp> stamp_of(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileStamp{.device = status.st_dev,
                   .inode = status.st_ino,
                   .bytes = status.st_size,
                   .written_s = status.st_mtim.tv_sec,
                   .written_ns = status.st_mtim.tv_nsec};
}

}  // namespace remora
