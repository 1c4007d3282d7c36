// SPDX-License-Identifier: Apache-2.0
//
// The kernel's way to check addresses: out of the LB's interface, whatever the other
// routes are, and without asking the network who has them.
//
// For each network a route by way of a next hop that nobody has, and for that a permanent
// neighbour entry: what leaves for it meets the TC program, which sends it to a real.
// Both carry a protocol number of our own, by which they are found again. They stay when
// the daemon ends, as all that it has put into the kernel.
#pragma once

#include <span>

#include "daemon/base/prefix.h"

namespace remora {

// As `proto` of ip-route(8) shows it.
inline constexpr unsigned char kCheckRouteProtocol = 114;

// Makes the networks, and no others of before, lead out of the interface. Throws
// std::runtime_error with the remedy where the kernel refuses, for one because another
// route to the same network exists.
void set_check_routes(unsigned interface_index, std::span<const Prefix> networks);

// Puts back what is missing of them, for one because the interface was down. Returns
// whether all are there. Throws std::system_error when the kernel cannot be asked.
bool restore_check_routes(unsigned interface_index, std::span<const Prefix> networks);

}  // namespace remora
