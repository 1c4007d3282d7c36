// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/health_routes.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "daemon/base/netlink.h"

namespace remora {
namespace {

// Never appears in a packet: the TC program writes the gateway's address instead.
constexpr MacAddress kNextHopMac({0x02, 0x72, 0x65, 0x6d, 0x6f, 0x72});

Address next_hop(const Prefix& network) {
  return network.at(1);
}

int change(NetlinkQuestion& request) {
  return request.ask([](const nlmsghdr&) {});
}

// Returns 0 or the errno of the kernel.
int add_neighbour(unsigned interface_index, const Prefix& network) {
  NetlinkQuestion request(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  auto& header = request.header<ndmsg>();
  header.ndm_family = family_of(network.first());
  header.ndm_ifindex = static_cast<int>(interface_index);
  header.ndm_state = NUD_PERMANENT;
  request.add(NDA_DST, next_hop(network));
  request.add(NDA_LLADDR, kNextHopMac.bytes());
  request.add(NDA_PROTOCOL, std::span(&kCheckRouteProtocol, 1));
  return change(request);
}

int add_route(unsigned interface_index, const Prefix& network) {
  NetlinkQuestion request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  auto& header = request.header<rtmsg>();
  header.rtm_family = family_of(network.first());
  header.rtm_dst_len = static_cast<unsigned char>(network.bits());
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = kCheckRouteProtocol;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  // Makes the route independent of the interface's addresses.
  header.rtm_flags = RTNH_F_ONLINK;
  request.add(RTA_DST, network.first());
  request.add(RTA_GATEWAY, next_hop(network));
  request.add(RTA_OIF, interface_index);
  return change(request);
}

// An entry that `dump` finds. It is deleted after the dump has ended.
struct Found {
  unsigned char family;
  unsigned char bits;
  Address address;
};

void remove_routes(unsigned interface_index, unsigned char family) {
  std::vector<Found> found;
  const auto of_family = [&](rtmsg& header) { header.rtm_family = family; };
  dump<rtmsg>(RTM_GETROUTE, of_family, [&](const nlmsghdr& message) {
    const auto& route = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
    const auto attributes = attributes_of(message, sizeof(rtmsg));
    const auto to = address_in(attributes[RTA_DST]);
    if (route.rtm_protocol == kCheckRouteProtocol && to && attributes[RTA_OIF] &&
        mnl_attr_get_u32(attributes[RTA_OIF]) == interface_index) {
      found.push_back({route.rtm_family, route.rtm_dst_len, *to});
    }
  });
  for (const Found& route : found) {
    NetlinkQuestion request(RTM_DELROUTE, NLM_F_ACK);
    auto& header = request.header<rtmsg>();
    header.rtm_family = route.family;
    header.rtm_dst_len = route.bits;
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_protocol = kCheckRouteProtocol;
    header.rtm_scope = RT_SCOPE_NOWHERE;  // any
    request.add(RTA_DST, route.address);
    request.add(RTA_OIF, interface_index);
    change(request);
  }
}

void remove_neighbours(unsigned interface_index, unsigned char family) {
  std::vector<Found> found;
  const auto of_family = [&](ndmsg& header) { header.ndm_family = family; };
  dump<ndmsg>(RTM_GETNEIGH, of_family, [&](const nlmsghdr& message) {
    const auto& entry = *static_cast<const ndmsg*>(mnl_nlmsg_get_payload(&message));
    const auto attributes = attributes_of(message, sizeof(ndmsg));
    const auto address = address_in(attributes[NDA_DST]);
    if (static_cast<unsigned>(entry.ndm_ifindex) == interface_index && address &&
        attributes[NDA_PROTOCOL] &&
        mnl_attr_get_u8(attributes[NDA_PROTOCOL]) == kCheckRouteProtocol) {
      found.push_back({entry.ndm_family, 0, *address});
    }
  });
  for (const Found& neighbour : found) {
    NetlinkQuestion request(RTM_DELNEIGH, NLM_F_ACK);
    auto& header = request.header<ndmsg>();
    header.ndm_family = neighbour.family;
    header.ndm_ifindex = static_cast<int>(interface_index);
    request.add(NDA_DST, neighbour.address);
    change(request);
  }
}

[[noreturn]] void fail(unsigned interface_index, const Prefix& network, int error) {
  char name[IF_NAMESIZE] = "the interface";
  if_indextoname(interface_index, name);
  std::string text = "cannot route the check addresses " + to_string(network) + " to " + name +
                     ": " + std::strerror(error);
  if (error == EEXIST)
    text += "; something else uses this network: give \"networks\" of [health] another one";
  else if (error == ENETDOWN)
    text += "; ip link set " + std::string(name) + " up";
  else
    text += "; to do without checks: check = \"off\" in [health]";
  throw std::runtime_error(text);
}

}  // namespace

void set_check_routes(unsigned interface_index, std::span<const Prefix> networks) {
  for (const unsigned char family :
       {static_cast<unsigned char>(AF_INET), static_cast<unsigned char>(AF_INET6)}) {
    remove_routes(interface_index, family);
    remove_neighbours(interface_index, family);
  }
  for (const Prefix& network : networks) {
    int error = add_neighbour(interface_index, network);
    if (error == 0) error = add_route(interface_index, network);
    if (error != 0) fail(interface_index, network, error);
  }
}

bool restore_check_routes(unsigned interface_index, std::span<const Prefix> networks) {
  bool all = true;
  for (const Prefix& network : networks) {
    const int neighbour = add_neighbour(interface_index, network);
    const int route = add_route(interface_index, network);
    all = all && neighbour == 0 && (route == 0 || route == EEXIST);
  }
  return all;
}

}  // namespace remora
