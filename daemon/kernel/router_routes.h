// SPDX-License-Identifier: Apache-2.0
//
// Directs packets for a service that the packet path passes up into this host's stack.
//
// A rule for packets that arrive on the interface for the service's address and TCP port leads to a
// separate table with a local route. So pings, other ports and answers to health checks are handled
// as before. Both carry our own protocol number, and stay when the daemon ends.
#pragma once

#include <span>
#include <string>

#include "daemon/base/endpoint.h"

namespace remora {

// Shown as `proto` by ip-rule(8) and ip-route(8).
inline constexpr unsigned char kRouterRouteProtocol = 115;

// Adds them for these services, and removes others of the interface. Throws std::runtime_error
// with the remedy if the kernel refuses.
void set_router_routes(unsigned interface_index, std::span<const Endpoint> services);

// Restores missing ones. Returns whether any was missing. Throws in the same way.
bool restore_router_routes(unsigned interface_index, std::span<const Endpoint> services);

}  // namespace remora
