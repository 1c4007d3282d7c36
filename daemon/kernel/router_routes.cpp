// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/router_routes.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "bpf/parse.h"
#include "daemon/base/netlink.h"

namespace remora {
namespace {

// Before the main table's rule (32766), after that of the local one (0).
constexpr std::uint32_t kPriority = 115;
// Our tables: one for each interface, so that instances do not conflict.
constexpr std::uint32_t kFirstTable = 0x72650000;

constexpr unsigned char kFamilies[] = {AF_INET, AF_INET6};

std::uint32_t table_of(unsigned interface_index) {
  return kFirstTable + interface_index;
}

template <class T>
std::span<const std::uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof(value)};
}

// Includes the terminating NUL, as the kernel expects.
std::span<const std::uint8_t> bytes_of_name(const std::string& name) {
  return {reinterpret_cast<const std::uint8_t*>(name.c_str()), name.size() + 1};
}

// Empty if there is no such interface any more: its rules have vanished with its name.
std::string name_of(unsigned interface_index) {
  char name[IF_NAMESIZE] = "";
  if_indextoname(interface_index, name);
  return name;
}

unsigned char bits_of(const Address& address) {
  return address.is_ipv4() ? 32 : 128;
}

int change(NetlinkQuestion& request) {
  return request.ask([](const nlmsghdr&) {});
}

struct Way {
  unsigned interface_index;
  std::string interface;
};

// Sends one rule. Returns 0 or the errno of the kernel.
int send_rule(std::uint16_t type, std::uint16_t flags, const Way& way, const Endpoint& service) {
  NetlinkQuestion request(type, static_cast<std::uint16_t>(NLM_F_ACK | flags));
  auto& header = request.header<fib_rule_hdr>();
  header.family = family_of(service.address);
  header.dst_len = bits_of(service.address);
  header.action = FR_ACT_TO_TBL;
  const std::uint16_t port = net_to_host16(service.port);
  const fib_rule_port_range ports{port, port};
  const std::uint8_t tcp = IPPROTO_TCP;
  request.add(FRA_DST, service.address);
  request.add(FRA_IIFNAME, bytes_of_name(way.interface));
  request.add(FRA_TABLE, table_of(way.interface_index));
  request.add(FRA_PRIORITY, kPriority);
  request.add(FRA_IP_PROTO, bytes_of(tcp));
  request.add(FRA_DPORT_RANGE, bytes_of(ports));
  request.add(FRA_PROTOCOL, bytes_of(kRouterRouteProtocol));
  return change(request);
}

int send_route(std::uint16_t type, std::uint16_t flags, const Way& way, const Address& address) {
  NetlinkQuestion request(type, static_cast<std::uint16_t>(NLM_F_ACK | flags));
  auto& header = request.header<rtmsg>();
  header.rtm_family = family_of(address);
  header.rtm_dst_len = bits_of(address);
  header.rtm_table = RT_TABLE_UNSPEC;  // see RTA_TABLE
  header.rtm_protocol = kRouterRouteProtocol;
  header.rtm_scope = address.is_ipv4() ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_LOCAL;
  request.add(RTA_DST, address);
  request.add(RTA_OIF, if_nametoindex("lo"));
  request.add(RTA_TABLE, table_of(way.interface_index));
  return change(request);
}

[[noreturn]] void fail(const Way& way, const Endpoint& service, int error) {
  throw std::runtime_error("cannot lead " + to_string(service) + " on " + way.interface +
                           " to the router: " + std::strerror(error) +
                           "; to do without it: unknown_clients = \"default\"");
}

// Adds missing rules and routes. Returns whether any was missing.
bool make(const Way& way, std::span<const Endpoint> services) {
  constexpr std::uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL;
  bool any = false;
  for (const Endpoint& service : services) {
    const int route = send_route(RTM_NEWROUTE, kNew, way, service.address);
    if (route != 0 && route != EEXIST) fail(way, service, route);
    const int rule = send_rule(RTM_NEWRULE, kNew, way, service);
    if (rule != 0 && rule != EEXIST) fail(way, service, rule);
    any = any || route == 0 || rule == 0;
  }
  return any;
}

std::vector<Endpoint> present_rules(const Way& way, unsigned char family) {
  std::vector<Endpoint> found;
  const auto of_family = [&](fib_rule_hdr& header) { header.family = family; };
  dump<fib_rule_hdr>(RTM_GETRULE, of_family, [&](const nlmsghdr& message) {
    const auto attributes = attributes_of(message, sizeof(fib_rule_hdr));
    const auto* protocol = attributes[FRA_PROTOCOL];
    const auto* interface = attributes[FRA_IIFNAME];
    const auto to = address_in(attributes[FRA_DST]);
    if (!protocol || mnl_attr_get_u8(protocol) != kRouterRouteProtocol || !to || !interface ||
        !attributes[FRA_DPORT_RANGE] || way.interface != mnl_attr_get_str(interface)) {
      return;
    }
    fib_rule_port_range ports{};
    std::memcpy(&ports, mnl_attr_get_payload(attributes[FRA_DPORT_RANGE]), sizeof(ports));
    found.push_back(Endpoint::at(*to, ports.start));
  });
  return found;
}

std::vector<Address> present_routes(const Way& way, unsigned char family) {
  std::vector<Address> found;
  const auto of_family = [&](rtmsg& header) { header.rtm_family = family; };
  dump<rtmsg>(RTM_GETROUTE, of_family, [&](const nlmsghdr& message) {
    const auto attributes = attributes_of(message, sizeof(rtmsg));
    const auto to = address_in(attributes[RTA_DST]);
    if (to && attributes[RTA_TABLE] &&
        mnl_attr_get_u32(attributes[RTA_TABLE]) == table_of(way.interface_index)) {
      found.push_back(*to);
    }
  });
  return found;
}

}  // namespace

void set_router_routes(unsigned interface_index, std::span<const Endpoint> services) {
  const Way way{interface_index, name_of(interface_index)};
  if (way.interface.empty()) return;
  for (const unsigned char family : kFamilies) {
    for (const Endpoint& rule : present_rules(way, family)) {
      if (std::ranges::count(services, rule) == 0) send_rule(RTM_DELRULE, 0, way, rule);
    }
    for (const Address& route : present_routes(way, family)) {
      if (std::ranges::count(services, route, &Endpoint::address) == 0)
        send_route(RTM_DELROUTE, 0, way, route);
    }
  }
  make(way, services);
}

bool restore_router_routes(unsigned interface_index, std::span<const Endpoint> services) {
  const Way way{interface_index, name_of(interface_index)};
  return !way.interface.empty() && make(way, services);
}

}  // namespace remora
