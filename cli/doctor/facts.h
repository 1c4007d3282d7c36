// SPDX-License-Identifier: Apache-2.0
//
// Facts about this host, as plain values, for the checks to judge.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/base/address.h"

namespace remora::doctor {

// A fact that was looked for; without a value it could not be found out.
template <class T>
struct Fact {
  std::optional<T> value;
  std::string why_not = "it was not looked at";

  Fact() = default;
  Fact(T found) : value(std::move(found)) {}

  static Fact missing(std::string_view why) {
    Fact fact;
    fact.why_not = why;
    return fact;
  }

  explicit operator bool() const { return value.has_value(); }
  const T& operator*() const { return *value; }
  const T* operator->() const { return &*value; }
};

// The fact that `find` returns; if it throws, the fact has no value.
template <class Find>
auto look(Find&& find) -> Fact<decltype(find())> {
  try {
    return find();
  } catch (const std::exception& error) {
    return Fact<decltype(find())>::missing(error.what());
  }
}

struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;

  auto operator<=>(const KernelVersion&) const = default;
};

// Programs on an interface; id 0: none.
struct AttachedXdp {
  std::uint32_t native_id = 0;
  std::string native_name = {};
  std::uint32_t generic_id = 0;
  std::string generic_name = {};
};

struct Interface {
  unsigned index = 0;
  std::string name;
  std::string kind = {};  // "veth", "ipip", "ip6tnl", …; empty for hardware
  bool is_up = false;
  bool has_carrier = false;
  bool is_loopback = false;
  bool answers_arp = true;
  std::uint32_t mtu = 0;  // bytes, without the link's header
  // A tunnel that accepts packets from any outer source.
  bool takes_any_source = false;
};

struct InterfaceAddress {
  unsigned interface_index = 0;
  Address address;
  unsigned prefix_length = 0;  // bits
  // IPv6: duplicate address detection is over and found nobody (RFC 4862 §5.4).
  bool is_usable = true;
};

// A TCP socket that listens.
struct Listener {
  Address address;         // `::` or 0.0.0.0: all
  std::uint16_t port = 0;  // host order
  // For a listener on `::`: whether it accepts IPv4, too. Unknown without the kernel's
  // tcp_diag.
  std::optional<bool> takes_ipv4;
};

// Values of files below /proc/sys, by path.
using Sysctls = std::map<std::string, long>;

struct Host {
  std::string kernel_release;
  KernelVersion kernel;
  Fact<std::vector<Interface>> interfaces;
  Fact<std::vector<InterfaceAddress>> addresses;
  Sysctls sysctls;
  // Values of /proc/net/snmp and netstat, by names such as "Ip.ReasmReqds".
  std::map<std::string, std::uint64_t> network_counters;
};

// How the kernel would route a packet.
struct RouteAnswer {
  int refused = 0;  // errno; 0: it would be routed
  unsigned interface_index = 0;
  bool is_local = false;
  std::optional<Address> gateway = {};
  std::optional<std::uint32_t> advmss = {};  // bytes, if the route has one
};

}  // namespace remora::doctor
