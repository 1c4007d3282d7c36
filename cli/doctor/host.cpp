// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/host.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <sstream>
#include <string_view>

#include "daemon/base/netlink.h"

namespace remora::doctor {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> kSettings = {"rp_filter", "arp_ignore", "arp_announce",
                                                       "forwarding", "disable_ipv6"};

void read_settings_of_interfaces(const fs::path& folder, Sysctls& into) {
  std::error_code error;
  for (const auto& interface : fs::directory_iterator(folder, error)) {
    for (const std::string_view name : kSettings) {
      const fs::path path = interface.path() / name;
      long value = 0;
      if (std::ifstream file(path); file >> value) {
        into[path.lexically_relative("/proc/sys").string()] = value;
      }
    }
  }
}

Sysctls read_sysctls() {
  Sysctls all;
  long value = 0;
  if (std::ifstream file("/proc/sys/net/ipv4/ip_forward"); file >> value) {
    all["net/ipv4/ip_forward"] = value;
  }
  read_settings_of_interfaces("/proc/sys/net/ipv4/conf", all);
  read_settings_of_interfaces("/proc/sys/net/ipv6/conf", all);
  return all;
}

std::string text_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Reads a tunnel's attributes, which ipip and ip6tnl share.
bool takes_any_source(const nlattr* data) {
  if (!data) return false;
  const Attributes tunnel = attributes_of(*data);
  if (tunnel[IFLA_IPTUN_COLLECT_METADATA]) return true;
  const auto remote = address_in(tunnel[IFLA_IPTUN_REMOTE]);
  return !remote || remote->is_unspecified();
}

RouteAnswer answer_of(NetlinkQuestion& question) {
  RouteAnswer answer;
  answer.refused = question.ask([&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWROUTE) return;
    const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
    const Attributes attributes = attributes_of(message, sizeof(rtmsg));
    answer.is_local = route->rtm_type == RTN_LOCAL;
    if (attributes[RTA_OIF]) answer.interface_index = mnl_attr_get_u32(attributes[RTA_OIF]);
    answer.gateway = address_in(attributes[RTA_GATEWAY]);
    if (attributes[RTA_METRICS]) {
      const Attributes metrics = attributes_of(*attributes[RTA_METRICS]);
      if (metrics[RTAX_ADVMSS]) answer.advmss = mnl_attr_get_u32(metrics[RTAX_ADVMSS]);
    }
  });
  return answer;
}

rtmsg& begin_route(NetlinkQuestion& question, const Address& to) {
  auto& header = question.header<rtmsg>();
  header.rtm_family = family_of(to);
  header.rtm_dst_len = to.is_ipv4() ? 32 : 128;
  return header;
}

// Asks the kernel's tcp_diag, which alone knows of sockets for IPv6 only. Returns false if there
// is no tcp_diag.
bool listeners_by_diag(int family, std::vector<Listener>& into) {
  NetlinkQuestion question(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  auto& request = question.header<inet_diag_req_v2>();
  request.sdiag_family = static_cast<__u8>(family);
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = 1u << TCP_LISTEN;
  const int refused = question.ask(
      [&](const nlmsghdr& message) {
        const auto* socket = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&message));
        const Attributes attributes = attributes_of(message, sizeof(inet_diag_msg));
        const std::size_t size = family == AF_INET ? sizeof(__be32) : sizeof(address);
        const auto at = address_in(socket->id.idiag_src, size);
        if (!at) return;
        Listener listener{*at, ntohs(socket->id.idiag_sport), {}};
        if (const nlattr* only_v6 = attributes[INET_DIAG_SKV6ONLY]) {
          listener.takes_ipv4 = mnl_attr_get_u8(only_v6) == 0;
        }
        into.push_back(listener);
      },
      NETLINK_SOCK_DIAG);
  return refused == 0;
}

// A line of /proc/net/tcp or tcp6: the words of the address are in host order.
std::optional<Listener> parse_listener(const std::string& line) {
  std::istringstream words(line);
  std::string number, local, remote, state;
  if (!(words >> number >> local >> remote >> state) || state != "0A") return std::nullopt;
  const auto colon = local.find(':');
  if (colon != 8 && colon != 32) return std::nullopt;
  std::array<__be32, 4> bytes{};
  for (std::size_t i = 0; i < colon / 8; ++i) {
    bytes[i] = static_cast<__be32>(std::stoul(local.substr(i * 8, 8), nullptr, 16));
  }
  const auto at = address_in(bytes.data(), colon / 2);
  return Listener{
      *at, static_cast<std::uint16_t>(std::stoul(local.substr(colon + 1), nullptr, 16)), {}};
}

}  // namespace

bool may_not_read(const fs::path& file) {
  return access(file.c_str(), R_OK) != 0 && errno == EACCES;
}

KernelVersion parse_kernel_release(const std::string& release) {
  KernelVersion version;
  char dot = 0;
  std::istringstream text(release);
  if (!(text >> version.major >> dot >> version.minor) || dot != '.') return {};
  return version;
}

std::map<std::string, std::uint64_t> parse_network_counters(const std::string& text) {
  std::map<std::string, std::uint64_t> counters;
  std::istringstream lines(text);
  std::string names, values;
  while (std::getline(lines, names) && std::getline(lines, values)) {
    std::istringstream name_words(names), value_words(values);
    std::string table, again, name, value;
    if (!(name_words >> table) || !(value_words >> again) || table != again) continue;
    table.pop_back();  // the colon
    while (name_words >> name && value_words >> value) {
      // MaxConn may be -1.
      if (!value.starts_with('-')) counters[table + "." + name] = std::stoull(value);
    }
  }
  return counters;
}

std::vector<Interface> read_interfaces() {
  std::vector<Interface> all;
  dump<ifinfomsg>(
      RTM_GETLINK, [](ifinfomsg& header) { header.ifi_family = AF_UNSPEC; },
      [&](const nlmsghdr& message) {
        const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
        const Attributes attributes = attributes_of(message, sizeof(ifinfomsg));
        if (!attributes[IFLA_IFNAME]) return;
        Interface interface;
        interface.index = static_cast<unsigned>(link->ifi_index);
        interface.name = mnl_attr_get_str(attributes[IFLA_IFNAME]);
        interface.is_up = link->ifi_flags & IFF_UP;
        interface.has_carrier = link->ifi_flags & IFF_RUNNING;
        interface.is_loopback = link->ifi_flags & IFF_LOOPBACK;
        interface.answers_arp = !(link->ifi_flags & (IFF_LOOPBACK | IFF_NOARP));
        if (attributes[IFLA_MTU]) interface.mtu = mnl_attr_get_u32(attributes[IFLA_MTU]);
        if (attributes[IFLA_LINKINFO]) {
          const Attributes info = attributes_of(*attributes[IFLA_LINKINFO]);
          if (info[IFLA_INFO_KIND]) interface.kind = mnl_attr_get_str(info[IFLA_INFO_KIND]);
          if (interface.kind == "ipip" || interface.kind == "ip6tnl") {
            interface.takes_any_source = takes_any_source(info[IFLA_INFO_DATA]);
          }
        }
        all.push_back(std::move(interface));
      });
  return all;
}

std::vector<InterfaceAddress> read_addresses() {
  std::vector<InterfaceAddress> all;
  dump<ifaddrmsg>(
      RTM_GETADDR, [](ifaddrmsg& header) { header.ifa_family = AF_UNSPEC; },
      [&](const nlmsghdr& message) {
        const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
        const Attributes attributes = attributes_of(message, sizeof(ifaddrmsg));
        // On a point-to-point link IFA_ADDRESS is the address of the other end.
        const auto address =
            address_in(attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS]);
        if (!address) return;
        const std::uint32_t flags =
            attributes[IFA_FLAGS] ? mnl_attr_get_u32(attributes[IFA_FLAGS]) : header->ifa_flags;
        all.push_back({header->ifa_index, *address, header->ifa_prefixlen,
                       (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0 ||
                           (flags & IFA_F_OPTIMISTIC) != 0});
      });
  return all;
}

std::vector<Listener> read_listeners() {
  std::vector<Listener> all;
  const bool has_diag = listeners_by_diag(AF_INET, all) && listeners_by_diag(AF_INET6, all);
  if (has_diag) return all;
  all.clear();
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      if (const auto listener = parse_listener(line)) all.push_back(*listener);
    }
  }
  return all;
}

RouteAnswer route_to(const Address& to, const std::optional<Address>& from) {
  NetlinkQuestion question(RTM_GETROUTE, NLM_F_ACK);
  rtmsg& header = begin_route(question, to);
  if (from) header.rtm_src_len = header.rtm_dst_len;
  question.add(RTA_DST, to);
  if (from) question.add(RTA_SRC, *from);
  return answer_of(question);
}

RouteAnswer route_of_arrival(const Address& from, const Address& to, unsigned interface_index) {
  NetlinkQuestion question(RTM_GETROUTE, NLM_F_ACK);
  rtmsg& header = begin_route(question, to);
  header.rtm_src_len = header.rtm_dst_len;
  question.add(RTA_DST, to);
  question.add(RTA_SRC, from);
  question.add(RTA_IIF, interface_index);
  return answer_of(question);
}

RouteAnswer route_of_tcp_arrival(const Address& from, const Endpoint& to,
                                 unsigned interface_index) {
  NetlinkQuestion question(RTM_GETROUTE, NLM_F_ACK);
  rtmsg& header = begin_route(question, to.address);
  header.rtm_src_len = header.rtm_dst_len;
  question.add(RTA_DST, to.address);
  question.add(RTA_SRC, from);
  question.add(RTA_IIF, interface_index);
  const std::uint8_t tcp = IPPROTO_TCP;
  question.add(RTA_IP_PROTO, std::span(&tcp, 1));
  const auto* port = reinterpret_cast<const std::uint8_t*>(&to.port);
  question.add(RTA_DPORT, std::span(port, sizeof(to.port)));
  return answer_of(question);
}

Host look_at_host() {
  Host host;
  utsname system{};
  if (uname(&system) == 0) host.kernel_release = system.release;
  host.kernel = parse_kernel_release(host.kernel_release);
  host.interfaces = look(read_interfaces);
  host.addresses = look(read_addresses);
  host.sysctls = read_sysctls();
  for (const char* path : {"/proc/net/snmp", "/proc/net/netstat"}) {
    host.network_counters.merge(parse_network_counters(text_of(path)));
  }
  return host;
}

}  // namespace remora::doctor
