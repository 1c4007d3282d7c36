// SPDX-License-Identifier: Apache-2.0
// Opens the database file of a history, to write (checked and migrated) or to read.
#pragma once

#include <chrono>
#include <filesystem>
#include <span>

#include "store/database.h"
#include "store/observation.h"

namespace remora {

// Creates a missing file. Checks the file's structure for at most `check_limit`. Throws
// DatabaseError, which tells whether the file is damaged, and ForeignFile.
Connection open_to_write(const std::filesystem::path& path, std::chrono::milliseconds check_limit,
                         std::span<const ServiceName> services);

// Works even if a full disk has no room for the index that readers share.
Connection open_to_read(const std::filesystem::path& path);

}  // namespace remora
