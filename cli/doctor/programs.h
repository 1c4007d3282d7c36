// SPDX-License-Identifier: Apache-2.0
//
// What is in the kernel of BPF: asked by interface, by pin and by number. Changes
// nothing; needs root.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "cli/doctor/facts.h"
#include "daemon/base/fd.h"

namespace remora::doctor {

// Of the interface with that number. Throws std::system_error.
AttachedXdp attached_xdp(unsigned interface_index);

// The name of the classifier in the place of the probe; empty: there is none. Throws
// std::system_error.
std::string probe_name(unsigned interface_index);

// The program with that number. Throws std::system_error.
Fd open_program(std::uint32_t id);

// The name of the program with that number, as far as the kernel keeps it (15
// characters). Throws std::system_error.
std::string program_name(std::uint32_t id);

// Of a pinned map, or nothing when there is no such pin. Throws std::system_error.
Fd open_pin(const std::filesystem::path& pin);

// The programs of a pinned program array by their slots, 0 to ROOT_SLOTS - 1; empty
// slots are left out. Throws std::system_error.
std::map<std::uint32_t, std::string> programs_by_slot(int array_fd);

// The interface that a pinned link holds a program on; 0: none any more. Throws
// std::system_error.
unsigned interface_of_link(int link_fd);

}  // namespace remora::doctor
