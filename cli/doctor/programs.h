// SPDX-License-Identifier: Apache-2.0
//
// BPF objects in the kernel, found by interface, by pin and by number. Changes nothing; needs
// root.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "cli/doctor/facts.h"
#include "daemon/base/fd.h"

namespace remora::doctor {

// The XDP programs on the interface with that number. Throws std::system_error.
AttachedXdp attached_xdp(unsigned interface_index);

// The name of the classifier at the place of the probe; empty: there is none. Throws
// std::system_error.
std::string probe_name(unsigned interface_index);

// The program with that number. Throws std::system_error.
Fd open_program(std::uint32_t id);

// The name of the program with that number, as far as the kernel stores it (15
// characters). Throws std::system_error.
std::string program_name(std::uint32_t id);

// Descriptor of a pinned map; empty if there is no such pin. Throws std::system_error.
Fd open_pin(const std::filesystem::path& pin);

// The programs of a pinned prog array by slot, 0 to ROOT_SLOTS - 1; empty
// slots are left out. Throws std::system_error.
std::map<std::uint32_t, std::string> programs_by_slot(int array_fd);

// The interface on which a pinned link holds a program; 0: none any more. Throws
// std::system_error.
unsigned interface_of_link(int link_fd);

}  // namespace remora::doctor
