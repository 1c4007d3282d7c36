// SPDX-License-Identifier: Apache-2.0
// Explains why the file at a path cannot be opened.
#pragma once

#include <filesystem>
#include <string>

namespace remora {

// The problem and how to fix it; empty if the path itself is all right.
std::string path_problem(const std::filesystem::path& path);

}  // namespace remora
