// SPDX-License-Identifier: Apache-2.0
// Tells whether a file was written since the last look at it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace remora {

struct FileStamp {
  std::uint64_t device;
  std::uint64_t inode;
  std::int64_t bytes;
  std::int64_t written_s;
  std::int64_t written_ns;
  bool operator==(const FileStamp&) const = default;
};

// Empty if there is no such file.
std::optional<FileStamp> stamp_of(const std::filesystem::path& path);

}  // namespace remora
