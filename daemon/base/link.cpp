// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/link.h"

#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/nexthop.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <span>
#include <system_error>

#include "daemon/base/handles.h"
#include "daemon/base/netlink.h"
#include "daemon/base/socket_address.h"

namespace remora {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

ifreq request_about(const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  return request;
}

// Returns false if there is no such interface. Throws std::system_error if the kernel cannot be
// asked. if_nametoindex() does not distinguish this: a lack of descriptors would look the same.
bool ask(unsigned long what, ifreq& request, const char* failure) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) fail(failure);
  if (ioctl(socket.get(), what, &request) == 0) return true;
  if (errno != ENODEV && errno != ENXIO) fail(failure);
  return false;
}

bool is_default_route(const nlmsghdr& message) {
  const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  return route->rtm_dst_len == 0 && route->rtm_table == RT_TABLE_MAIN;
}

// The gateway among a route's attributes. An IPv4 route may lead to an IPv6 neighbour (`via
// inet6`).
std::optional<Address> next_hop(const Attributes& attributes) {
  const nlattr* via = attributes[RTA_VIA];
  if (!via) return address_in(attributes[RTA_GATEWAY]);
  constexpr std::size_t kFamily = sizeof(rtvia::rtvia_family);
  const std::size_t size = mnl_attr_get_payload_len(via);
  if (size < kFamily) return std::nullopt;
  return address_in(static_cast<const char*>(mnl_attr_get_payload(via)) + kFamily, size - kFamily);
}

void add_hop(std::vector<Address>& hops, unsigned flags, const Attributes& attributes) {
  const auto hop = next_hop(attributes);
  if (hop && (flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0) hops.push_back(*hop);
}

// The next hops of a route through the interface.
std::vector<Address> next_hops(const nlmsghdr& message, unsigned interface_index) {
  std::vector<Address> hops;
  const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  const Attributes attributes = attributes_of(message, sizeof(rtmsg));
  if (attributes[RTA_OIF] && mnl_attr_get_u32(attributes[RTA_OIF]) == interface_index)
    add_hop(hops, route->rtm_flags, attributes);
  if (!attributes[RTA_MULTIPATH]) return hops;
  // Stands for RTNH_OK and RTNH_NEXT of linux/rtnetlink.h, which need writable memory.
  const auto* at = static_cast<const char*>(mnl_attr_get_payload(attributes[RTA_MULTIPATH]));
  std::size_t left = mnl_attr_get_payload_len(attributes[RTA_MULTIPATH]);
  while (left >= sizeof(rtnexthop)) {
    const auto* hop = reinterpret_cast<const rtnexthop*>(at);
    if (hop->rtnh_len < sizeof(rtnexthop) || hop->rtnh_len > left) break;
    if (static_cast<unsigned>(hop->rtnh_ifindex) == interface_index) {
      add_hop(hops, hop->rtnh_flags,
              attributes_in(at + sizeof(rtnexthop), hop->rtnh_len - sizeof(rtnexthop)));
    }
    const std::size_t step = std::min<std::size_t>(RTNH_ALIGN(hop->rtnh_len), left);
    at += step;
    left -= step;
  }
  return hops;
}

struct DefaultRoute {
  std::uint32_t metric;
  std::vector<Address> hops;  // those through the interface
  std::uint32_t object;       // a nexthop object that has the hops; 0: the route has them itself
};

// With net.ipv4.nexthop_compat_mode = 0, as FRR sets it, the kernel tells only the number of the
// nexthop object, not its content.
std::vector<DefaultRoute> default_routes(int family, unsigned interface_index) {
  std::vector<DefaultRoute> routes;
  dump<rtmsg>(
      RTM_GETROUTE, [&](rtmsg& header) { header.rtm_family = static_cast<unsigned char>(family); },
      [&](const nlmsghdr& message) {
        if (!is_default_route(message)) return;
        const Attributes attributes = attributes_of(message, sizeof(rtmsg));
        const bool is_told = attributes[RTA_OIF] || attributes[RTA_MULTIPATH];
        const auto number = [&](int type) {
          return attributes[type] ? mnl_attr_get_u32(attributes[type]) : 0;
        };
        routes.push_back({number(RTA_PRIORITY), next_hops(message, interface_index),
                          is_told ? 0 : number(RTA_NH_ID)});
      });
  return routes;
}

// A nexthop object as the kernel describes it. An object that is gone has no members and no hops.
struct NexthopObject {
  std::vector<std::uint32_t> members;  // numbers, if it is a group
  std::vector<Address> hops;           // through the interface, at most one
};

NexthopObject find_nexthop_object(std::uint32_t number, unsigned interface_index) {
  NexthopObject object;
  NetlinkQuestion question(RTM_GETNEXTHOP, NLM_F_ACK);
  question.header<nhmsg>();
  question.add(NHA_ID, number);
  const int error = question.ask([&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWNEXTHOP) return;
    const Attributes attributes = attributes_of(message, sizeof(nhmsg));
    if (const nlattr* group = attributes[NHA_GROUP]) {
      const auto* members = static_cast<const nexthop_grp*>(mnl_attr_get_payload(group));
      const std::size_t count = mnl_attr_get_payload_len(group) / sizeof(nexthop_grp);
      for (const nexthop_grp& member : std::span(members, count))
        object.members.push_back(member.id);
    }
    const auto* fixed = static_cast<const nhmsg*>(mnl_nlmsg_get_payload(&message));
    const auto hop = address_in(attributes[NHA_GATEWAY]);
    if (hop && attributes[NHA_OIF] && mnl_attr_get_u32(attributes[NHA_OIF]) == interface_index &&
        (fixed->nh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0)
      object.hops.push_back(*hop);
  });
  if (error != 0 && error != ENOENT)
    throw std::system_error(error, std::generic_category(), "cannot look up a nexthop object");
  return object;
}

// The members of a group are never groups.
std::vector<Address> hops_of_object(std::uint32_t number, unsigned interface_index) {
  NexthopObject object = find_nexthop_object(number, interface_index);
  for (const std::uint32_t member : object.members)
    std::ranges::copy(find_nexthop_object(member, interface_index).hops,
                      std::back_inserter(object.hops));
  return object.hops;
}

bool concerns(const nlmsghdr& message, unsigned interface_index,
              std::span<const Address> gateways) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
      return static_cast<unsigned>(link->ifi_index) == interface_index;
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      const auto* entry = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(&message));
      const auto neighbour = address_in(attributes_of(message, sizeof(ndmsg))[NDA_DST]);
      return neighbour && static_cast<unsigned>(entry->ndm_ifindex) == interface_index &&
             std::ranges::find(gateways, *neighbour) != gateways.end();
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return is_default_route(message);
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return true;  // a default route may use it
    default:
      return false;
  }
}

}  // namespace

std::optional<Link> find_link(const std::string& interface) {
  ifreq request = request_about(interface);
  if (!ask(SIOCGIFINDEX, request, "cannot look for the interface")) return std::nullopt;
  const auto index = static_cast<unsigned>(request.ifr_ifindex);
  request = request_about(interface);
  if (!ask(SIOCGIFMTU, request, "cannot read the interface's MTU")) return std::nullopt;
  return Link{index, static_cast<std::uint32_t>(request.ifr_mtu)};
}

std::optional<std::string> find_name(unsigned interface_index) {
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(interface_index);
  if (!ask(SIOCGIFNAME, request, "cannot look for the interface")) return std::nullopt;
  return std::string(request.ifr_name, strnlen(request.ifr_name, sizeof(request.ifr_name)));
}

bool is_running(const std::string& interface) {
  ifreq request = request_about(interface);
  return ask(SIOCGIFFLAGS, request, "cannot read the interface's state") &&
         (request.ifr_flags & IFF_UP) != 0 && (request.ifr_flags & IFF_RUNNING) != 0;
}

std::vector<Address> default_gateways(unsigned interface_index) {
  std::vector<Address> gateways;
  for (const int family : {AF_INET, AF_INET6}) {
    std::uint32_t lowest = UINT32_MAX;
    for (DefaultRoute& route : default_routes(family, interface_index)) {
      if (route.object != 0) route.hops = hops_of_object(route.object, interface_index);
      if (route.hops.empty() || route.metric > lowest) continue;
      if (route.metric < lowest) gateways.clear();
      lowest = route.metric;
      gateways.insert(gateways.end(), route.hops.begin(), route.hops.end());
    }
    if (!gateways.empty()) break;
  }
  return gateways;
}

std::optional<Neighbour> find_neighbour(unsigned interface_index, const Address& address) {
  std::optional<Neighbour> found;
  dump<ndmsg>(
      RTM_GETNEIGH, [&](ndmsg& header) { header.ndm_family = family_of(address); },
      [&](const nlmsghdr& message) {
        const auto* entry = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(&message));
        const Attributes attributes = attributes_of(message, sizeof(ndmsg));
        constexpr unsigned kUsable =
            NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
        if (static_cast<unsigned>(entry->ndm_ifindex) != interface_index ||
            (entry->ndm_state & kUsable) == 0 || !attributes[NDA_LLADDR] ||
            mnl_attr_get_payload_len(attributes[NDA_LLADDR]) != 6 ||
            address_in(attributes[NDA_DST]) != address) {
          return;
        }
        std::array<std::uint8_t, 6> mac{};
        std::memcpy(mac.data(), mnl_attr_get_payload(attributes[NDA_LLADDR]), mac.size());
        found = {MacAddress(mac), (entry->ndm_state & NUD_STALE) != 0};
      });
  return found;
}

void solicit(unsigned interface_index, const Address& address) {
  constexpr std::uint16_t kDiscardPort = 9;
  const SocketAddress to(address, kDiscardPort, interface_index);
  const Fd socket(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Whether the datagram can be sent does not matter: the kernel asks for the neighbour before.
  static_cast<void>(sendto(socket.get(), "", 0, 0, to.get(), to.size()));
}

struct LinkNews::Socket {
  std::unique_ptr<mnl_socket, Closer<mnl_socket_close>> handle;
};

LinkNews::LinkNews() : socket_(new Socket) {
  constexpr unsigned kNexthops = 1U << (RTNLGRP_NEXTHOP - 1);
  socket_->handle.reset(mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket_->handle || mnl_socket_bind(socket_->handle.get(),
                                          RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE |
                                              RTMGRP_IPV6_ROUTE | kNexthops,
                                          MNL_SOCKET_AUTOPID) < 0) {
    fail("cannot listen to the kernel (rtnetlink)");
  }
}

LinkNews::~LinkNews() = default;

int LinkNews::fd() const {
  return mnl_socket_get_fd(socket_->handle.get());
}

bool LinkNews::concern(unsigned interface_index, std::span<const Address> gateways) {
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  bool any = false;
  for (;;) {
    const ssize_t bytes = mnl_socket_recvfrom(socket_->handle.get(), buffer.data(), buffer.size());
    if (bytes < 0) {
      if (errno == EAGAIN) return any;
      if (errno == EINTR) continue;
      // The socket or the buffer was too small for all reports.
      if (errno != ENOBUFS && errno != ENOSPC) fail("cannot read the kernel's news (rtnetlink)");
      any = true;
      continue;
    }
    int left = static_cast<int>(bytes);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
         mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      any = any || concerns(*message, interface_index, gateways);
    }
  }
}

bool turn_off_gro(const std::string& interface) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value value{ETHTOOL_GGRO, 0};
  ifreq request{};
  interface.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (ioctl(socket.get(), SIOCETHTOOL, &request) != 0) fail("cannot ask for the interface's GRO");
  if (value.data == 0) return false;
  value = {ETHTOOL_SGRO, 0};
  if (ioctl(socket.get(), SIOCETHTOOL, &request) != 0) fail("cannot turn the interface's GRO off");
  return true;
}

void remove_empty_clsact(unsigned interface_index) {
  unsigned filters = 0;
  for (const std::uint32_t parent : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
    dump<tcmsg>(
        RTM_GETTFILTER,
        [&](tcmsg& header) {
          header.tcm_ifindex = static_cast<int>(interface_index);
          header.tcm_parent = TC_H_MAKE(TC_H_CLSACT, parent);
        },
        [&](const nlmsghdr&) { ++filters; });
  }
  if (filters > 0) return;
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(interface_index),
              .attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
  bpf_tc_hook_destroy(&hook);
}

}  // namespace remora
