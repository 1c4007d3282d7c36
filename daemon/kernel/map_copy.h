// SPDX-License-Identifier: Apache-2.0
//
// Copies the entries of a pinned map into the one that takes its place.
#pragma once

#include <cstdint>

#include "daemon/kernel/abi/chain.h"

namespace remora {

struct CopyCounts {
  std::uint64_t copied = 0;
  std::uint64_t lost = 0;  // found no room, or mean nothing under today's ABI
};

// Into a hash that nobody else writes yet. Throws std::system_error when the old one cannot
// be read.
CopyCounts copy_entries(int from, int to, MapConverter& converter);

// The same into a hash that is in use: what it has already stays.
CopyCounts add_missing(int from, int to, MapConverter& converter);

}  // namespace remora
