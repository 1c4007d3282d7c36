// SPDX-License-Identifier: Apache-2.0
//
// Routes the check addresses to the LB's interface, independently of other routes and without
// neighbour discovery.
//
// Each network has a route through a next hop that does not exist, and that next hop has a
// permanent neighbour entry. So packets to these addresses reach the TC program, which sends
// them to a real. Routes and entries carry our own protocol number, which identifies them
// later. They stay in the kernel when the daemon ends.
#pragma once

#include <span>

#include "daemon/base/prefix.h"

namespace remora {

// Shown as `proto` by ip-route(8).
inline constexpr unsigned char kCheckRouteProtocol = 114;

// Routes these networks to the interface and removes earlier routes of ours. Throws
// std::runtime_error with the remedy if the kernel refuses, for example because another route
// to the same network exists.
void set_check_routes(unsigned interface_index, std::span<const Prefix> networks);

// Restores missing ones, for example after the interface was down. Returns whether all exist.
// Throws std::system_error if the kernel cannot be asked.
bool restore_check_routes(unsigned interface_index, std::span<const Prefix> networks);

}  // namespace remora
