// SPDX-License-Identifier: Apache-2.0
//
// Facts that the kernel tells about the LB's interface: index, MTU and gateway.
//
// It is asked over rtnetlink and answers at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/base/address.h"

namespace remora {

struct Link {
  unsigned index;
  std::uint32_t mtu;  // bytes, without the Ethernet header
};

// Empty if there is no such interface. Throws std::system_error.
std::optional<Link> find_link(const std::string& interface);

// The interface's present name, which may change. Empty if there is no such interface in this
// network namespace. Throws std::system_error.
std::optional<std::string> find_name(unsigned interface_index);

// Whether it is up and has a carrier. Throws std::system_error.
bool is_running(const std::string& interface);

// The next hops of the IPv4 default route through the interface, or of the IPv6 one if there is no
// IPv4 route: those with the lowest metric, except the ones that the kernel considers dead. Throws
// std::system_error.
std::vector<Address> default_gateways(unsigned interface_index);

struct Neighbour {
  MacAddress mac;
  bool is_stale = false;  // not confirmed lately

  bool operator==(const Neighbour&) const = default;
};

// Facts that the kernel tells about a neighbour. Throws std::system_error.
std::optional<Neighbour> find_neighbour(unsigned interface_index, const Address& address);

// Makes the kernel ask for the neighbour's address, or check the one it knows, by sending an empty
// datagram to the neighbour's discard port (RFC 863). find_neighbour() has the answer soon after.
void solicit(unsigned interface_index, const Address& address);

// The kernel's own reports of changed links, neighbours and routes.
class LinkNews {
 public:
  // Receives reports from now on. Throws std::system_error.
  LinkNews();
  ~LinkNews();
  LinkNews(const LinkNews&) = delete;
  LinkNews& operator=(const LinkNews&) = delete;

  // Readable when there is a report.
  int fd() const;

  // Reads all reports. Returns whether one concerns the interface, a gateway as its neighbour
  // or a default route, or whether reports were lost. Throws std::system_error.
  bool concern(unsigned interface_index, std::span<const Address> gateways);

 private:
  struct Socket;
  std::unique_ptr<Socket> socket_;
};

// Turns off generic receive offload. Returns whether it was on. Throws std::system_error.
bool turn_off_gro(const std::string& interface);

// Removes the interface's clsact qdisc if it has no filter left.
void remove_empty_clsact(unsigned interface_index);

}  // namespace remora
