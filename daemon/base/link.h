// SPDX-License-Identifier: Apache-2.0
//
// What the kernel knows of the LB's interface: index, MTU and the gateway.
//
// Asks over rtnetlink, each question answered at once by the kernel.
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

// Nothing when there is no such interface. Throws std::system_error.
std::optional<Link> find_link(const std::string& interface);

// Whether it is up and has a carrier. Throws std::system_error.
bool is_running(const std::string& interface);

// The next hops of the IPv4 default route through the interface, else of the IPv6 one: those of
// the lowest metric, without the ones that the kernel takes for dead. Throws std::system_error.
std::vector<Address> default_gateways(unsigned interface_index);

struct Neighbour {
  MacAddress mac;
  bool is_stale = false;  // nobody has confirmed it lately

  bool operator==(const Neighbour&) const = default;
};

// A neighbour, as far as the kernel knows it. Throws std::system_error.
std::optional<Neighbour> find_neighbour(unsigned interface_index, const Address& address);

// Makes the kernel ask for the neighbour's address, or whether it is still the one it
// knows: sends an empty datagram to its discard port (RFC 863). The answer shows in
// find_neighbour() soon after.
void solicit(unsigned interface_index, const Address& address);

// What the kernel says unasked of links, neighbours and routes.
class LinkNews {
 public:
  // From now on. Throws std::system_error.
  LinkNews();
  ~LinkNews();
  LinkNews(const LinkNews&) = delete;
  LinkNews& operator=(const LinkNews&) = delete;

  // Readable when there is something.
  int fd() const;

  // Reads all there is. Whether any of it is about the interface, a gateway as its
  // neighbour or a default route; true as well when some of it was lost. Throws
  // std::system_error.
  bool concern(unsigned interface_index, std::span<const Address> gateways);

 private:
  struct Socket;
  std::unique_ptr<Socket> socket_;
};

// Turns generic receive offload off. Returns whether it was on. Throws
// std::system_error.
bool turn_off_gro(const std::string& interface);

// Removes the interface's clsact qdisc when it has no filter left.
void remove_empty_clsact(unsigned interface_index);

}  // namespace remora
