// SPDX-License-Identifier: Apache-2.0
//
// Looks at this host, in the network namespace of the process. Changes nothing.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/doctor/facts.h"
#include "daemon/base/endpoint.h"

namespace remora::doctor {

// Whether the file is there and this process lacks the permission to read it.
bool may_not_read(const std::filesystem::path& file);

// The facts that every check may need.
Host look_at_host();

// Throws std::system_error.
std::vector<Interface> read_interfaces();
std::vector<InterfaceAddress> read_addresses();
std::vector<Listener> read_listeners();

// The route of a packet that this host sends; without `from`, from any address.
RouteAnswer route_to(const Address& to, const std::optional<Address>& from);

// The route of a packet that comes in: whether the kernel would accept it, reverse path filter
// included.
RouteAnswer route_of_arrival(const Address& from, const Address& to, unsigned interface_index);
// The same of a TCP segment for a port, for which there may be rules of its own.
RouteAnswer route_of_tcp_arrival(const Address& from, const Endpoint& to, unsigned interface_index);

// Parses "6.1.0-23-amd64"; zeros if the text is no release.
KernelVersion parse_kernel_release(const std::string& release);

// Parses /proc/net/snmp or netstat: pairs of lines, first names and then values.
std::map<std::string, std::uint64_t> parse_network_counters(const std::string& text);

}  // namespace remora::doctor
