// SPDX-License-Identifier: Apache-2.0
//
// Leads packets for a service that the packet path passes up into this host's stack.
//
// A rule for what arrives on the interface for the service's address and TCP port, and a table of
// its own with a local route: so pings, other ports and answers to health checks are treated as
// before. Both carry a protocol number of ours, and stay when the daemon ends.
#pragma once

#include <span>
#include <string>

#include "daemon/base/endpoint.h"

namespace remora {

// As `proto` of ip-rule(8) and ip-route(8) shows it.
inline constexpr unsigned char kRouterRouteProtocol = 115;

// Makes them for these services, and removes others of the interface. Throws std::runtime_error
// with the remedy if the kernel refuses.
void set_router_routes(unsigned interface_index, std::span<const Endpoint> services);

// Restores missing ones. Returns whether any was missing. Throws likewise.
bool restore_router_routes(unsigned interface_index, std::span<const Endpoint> services);

}  // namespace remora
