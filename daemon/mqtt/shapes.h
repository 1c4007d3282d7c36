// SPDX-License-Identifier: Apache-2.0
//
// Decides which filters with wildcards the kernel can match, and by which shape.
//
// Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "bpf/abi.h"

namespace remora {

// The shape of a valid filter with a wildcard. No value if the kernel cannot match it: it has more
// than MAX_LEVELS levels before `#`, or matches only topics that the kernel does not judge.
std::optional<::topic_shape> kernel_shape(std::string_view filter);

// Bytes of the shortest topic that a valid filter matches: its names and slashes.
std::size_t shortest_topic(std::string_view filter);

}  // namespace remora
