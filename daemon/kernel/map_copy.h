// SPDX-License-Identifier: Apache-2.0
//
// Copies the entries of a pinned map into the one that takes its place.
#pragma once

#include <cstdint>

#include "daemon/kernel/abi/chain.h"

namespace remora {

struct CopyCounts {
  std::uint64_t copied = 0;
  std::uint64_t lost = 0;  // no room for them, or no meaning in the present ABI
};

// A table that nobody else writes yet, or one that is in use.
enum class Into : std::uint8_t { kNew, kInUse };

// Copies into a hash that nobody else writes yet. Throws std::system_error if the old one cannot be
// read.
CopyCounts copy_entries(int from, int to, MapConverter& converter);

// Copies into a hash that is in use: existing entries stay as they are.
CopyCounts add_missing(int from, int to, MapConverter& converter);

}  // namespace remora
