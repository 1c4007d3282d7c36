// SPDX-License-Identifier: Apache-2.0
//
// Pins of maps and links in the BPF file system.
#pragma once

#include <filesystem>

namespace remora {

// Whether `path` is the pin of the map or link `fd`: another one may have taken its place. If the
// kernel cannot be asked, the pin is assumed to be in order.
bool is_pinned(const std::filesystem::path& path, int fd);

// Makes it the pin of `fd`, in the place of any other. Throws std::runtime_error.
void pin_again(const std::filesystem::path& path, int fd);

}  // namespace remora
