// SPDX-License-Identifier: Apache-2.0
//
// Parts that the checks of both kinds of host share. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cli/doctor/facts.h"
#include "cli/doctor/finding.h"

namespace remora::doctor {

inline constexpr std::uint32_t kUsualMtu = 1500;
// IPv6 requires this of every link (RFC 8200 §5).
inline constexpr std::uint32_t kSmallestIpv6Mtu = 1280;

// Bytes of an outer header to a real of that family.
inline std::uint32_t outer_header(const Address& real) {
  return real.is_ipv4() ? 20 : 40;
}

// Bytes of IP and TCP headers without options.
inline std::uint32_t tcp_headers(const Address& service) {
  return service.is_ipv4() ? 40 : 60;
}

// The name as an operator writes it: "net.ipv4.ip_forward". sysctl(8) takes slashes if the
// interface's name has dots.
inline std::string sysctl_name(std::string path) {
  if (path.find('.') == std::string::npos) std::ranges::replace(path, '/', '.');
  return path;
}

inline std::string set_sysctl(const std::string& path, long value) {
  return "sysctl -w " + sysctl_name(path) + "=" + std::to_string(value);
}

inline std::optional<long> sysctl(const Sysctls& sysctls, const std::string& path) {
  const auto found = sysctls.find(path);
  return found == sysctls.end() ? std::nullopt : std::optional(found->second);
}

inline std::string conf_path(std::string_view family, std::string_view interface,
                             std::string_view key) {
  std::string path = "net/";
  path.append(family).append("/conf/").append(interface).append("/").append(key);
  return path;
}

inline std::uint64_t kernel_count(const Host& host, const std::string& name) {
  const auto found = host.network_counters.find(name);
  return found == host.network_counters.end() ? 0 : found->second;
}

inline const Interface* interface_with(const Host& host, unsigned index) {
  if (!host.interfaces) return nullptr;
  for (const Interface& interface : *host.interfaces) {
    if (interface.index == index) return &interface;
  }
  return nullptr;
}

inline Finding judge_kernel(const Host& host) {
  constexpr KernelVersion kNeeded{5, 18}, kTried{6, 1};
  const About about{"kernel", "Linux " + host.kernel_release};
  if (host.kernel == KernelVersion{}) return about.unknown("the release says no version");
  if (host.kernel < kNeeded)
    return about.error("is too old for the BPF programs: 5.18 or later is needed");
  if (host.kernel < kTried) return about.warning("should do; what has been tried is 6.1 and later");
  return about.ok("is recent enough");
}

// `interface` is null if there is none of that name.
inline Finding judge_interface(const std::string& name, const Interface* interface) {
  const About about{"interface", name};
  if (!interface) return about.error("there is no such interface", "ip link show");
  if (!interface->is_up) return about.error("is down", "ip link set " + name + " up");
  if (!interface->has_carrier) return about.error("has no carrier: cable, or the other end");
  return about.ok("is up, MTU " + std::to_string(interface->mtu));
}

}  // namespace remora::doctor
