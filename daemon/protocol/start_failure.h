// SPDX-License-Identifier: Apache-2.0
//
// The reason why the last start of remorad failed: a file in the runtime directory, named after the
// configuration file. remorad writes it, a good start removes it, and the doctor reads it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace remora {

struct StartFailure {
  std::int64_t at_s = 0;          // CLOCK_REALTIME
  bool is_configuration = false;  // the file was refused
  std::string reason;
};

std::filesystem::path start_failure_file(const std::filesystem::path& runtime_dir,
                                         const std::filesystem::path& config);

// Replaces the file in one step. Returns whether this was possible; a failed start can tell nobody
// else.
bool write_start_failure(const std::filesystem::path& file, const StartFailure& failure) noexcept;

// No value if there is no such file, it may not be read, or its format is unknown.
std::optional<StartFailure> read_start_failure(const std::filesystem::path& file);

}  // namespace remora
