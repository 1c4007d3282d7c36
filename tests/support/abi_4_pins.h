// SPDX-License-Identifier: Apache-2.0
//
// Turns the pinned maps of today's remorad into those that a remorad of ABI 4 would have left.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "bpf/abi.h"
#include "daemon/kernel/abi/abi_4.h"

namespace remora {

// Replaces the maps that changed by maps of the old layout with the same content; the fields that
// are reserved now must be 0. Replaces the ring by an empty one. Attached programs keep their maps.
// Throws std::runtime_error.
void downgrade_to_abi_4(const std::filesystem::path& folder);

// Writes a record into a ring as a BPF program does it.
void write_record(int ring_fd, std::span<const std::byte> record);

abi4::flow flow_of_abi_4(const flow& now);

}  // namespace remora
