// SPDX-License-Identifier: Apache-2.0
#include "daemon/link.h"

#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <system_error>

#include "daemon/handles.h"

namespace remora {
namespace {

using Socket = std::unique_ptr<mnl_socket, Closer<mnl_socket_close>>;
using Attributes = std::array<const nlattr*, 64>;
using Visitor = std::function<void(const nlmsghdr&)>;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

Attributes attributes_of(const nlmsghdr& message, unsigned header_bytes) {
  Attributes attributes{};
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(&message));
  const auto* attribute =
      static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(&message, header_bytes));
  const auto left = [&] {
    return static_cast<int>(end - reinterpret_cast<const char*>(attribute));
  };
  for (; mnl_attr_ok(attribute, left()); attribute = mnl_attr_next(attribute)) {
    const std::uint16_t type = mnl_attr_get_type(attribute);
    if (type < attributes.size()) attributes[type] = attribute;
  }
  return attributes;
}

// Dumps a kind of object: `fill` completes the request's header.
template <class Header, class Fill>
void dump(std::uint16_t type, Fill&& fill, const Visitor& visit) {
  alignas(nlmsghdr) std::array<char, 8192> buffer{};
  const Socket socket(mnl_socket_open(NETLINK_ROUTE));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    fail("cannot ask the kernel (rtnetlink)");
  }
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = type;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request->nlmsg_seq = 1;
  fill(*static_cast<Header*>(mnl_nlmsg_put_extra_header(request, sizeof(Header))));
  if (mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0) {
    fail("cannot ask the kernel (rtnetlink)");
  }
  const auto trampoline = [](const nlmsghdr* message, void* argument) {
    (*static_cast<const Visitor*>(argument))(*message);
    return MNL_CB_OK;
  };
  const unsigned port = mnl_socket_get_portid(socket.get());
  int state = MNL_CB_OK;
  while (state > MNL_CB_STOP) {
    const ssize_t bytes = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (bytes < 0) fail("cannot read the kernel's answer (rtnetlink)");
    state = mnl_cb_run(buffer.data(), static_cast<std::size_t>(bytes), 1, port, trampoline,
                       const_cast<Visitor*>(&visit));
    if (state < 0) fail("the kernel refuses the question (rtnetlink)");
  }
}

}  // namespace

std::optional<Link> find_link(const std::string& interface) {
  const unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) return std::nullopt;
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  interface.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  if (ioctl(socket.get(), SIOCGIFMTU, &request) != 0) fail("cannot read the interface's MTU");
  return Link{index, static_cast<std::uint32_t>(request.ifr_mtu)};
}

std::optional<Address> default_gateway(unsigned interface_index) {
  std::optional<Address> gateway;
  dump<rtmsg>(
      RTM_GETROUTE, [](rtmsg& header) { header.rtm_family = AF_INET; },
      [&](const nlmsghdr& message) {
        const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
        const Attributes attributes = attributes_of(message, sizeof(rtmsg));
        if (route->rtm_dst_len != 0 || route->rtm_table != RT_TABLE_MAIN || gateway ||
            !attributes[RTA_GATEWAY] || !attributes[RTA_OIF] ||
            mnl_attr_get_u32(attributes[RTA_OIF]) != interface_index) {
          return;
        }
        gateway = Address::from_ipv4(mnl_attr_get_u32(attributes[RTA_GATEWAY]));
      });
  return gateway;
}

std::optional<MacAddress> neighbour(unsigned interface_index, const Address& address) {
  std::optional<MacAddress> found;
  dump<ndmsg>(
      RTM_GETNEIGH, [](ndmsg& header) { header.ndm_family = AF_INET; },
      [&](const nlmsghdr& message) {
        const auto* entry = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(&message));
        const Attributes attributes = attributes_of(message, sizeof(ndmsg));
        constexpr unsigned kUsable =
            NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
        if (static_cast<unsigned>(entry->ndm_ifindex) != interface_index ||
            (entry->ndm_state & kUsable) == 0 || !attributes[NDA_DST] || !attributes[NDA_LLADDR] ||
            mnl_attr_get_payload_len(attributes[NDA_LLADDR]) != 6 ||
            mnl_attr_get_u32(attributes[NDA_DST]) != address.ipv4()) {
          return;
        }
        std::array<std::uint8_t, 6> mac{};
        std::memcpy(mac.data(), mnl_attr_get_payload(attributes[NDA_LLADDR]), mac.size());
        found = MacAddress(mac);
      });
  return found;
}

void solicit(const Address& address) {
  constexpr std::uint16_t kDiscardPort = 9;
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kDiscardPort);
  to.sin_addr.s_addr = address.ipv4();
  // Whether it can be sent does not matter: the question precedes it.
  static_cast<void>(
      sendto(socket.get(), "", 0, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)));
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
