// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "cli/doctor/common_checks.h"
#include "cli/doctor/lb_checks.h"
#include "daemon/config/memory_plan.h"

namespace remora::doctor {
namespace {

bool has_ipv6_service(const Config& config) {
  return std::ranges::any_of(config.services,
                             [](const Service& service) { return !service.address.is_ipv4(); });
}

// The largest outer header that a packet may get. The reals of a Katran server are unknown here;
// those of an IPv4 service probably have IPv4 addresses.
std::uint32_t largest_outer_header(const Config& config) {
  std::uint32_t largest = outer_header(config.services.front().address);
  for (const Group& group : config.groups) {
    for (const Real& real : group.reals) largest = std::max(largest, outer_header(real.address));
  }
  return largest;
}

bool is_on_this_host(const Host& host, const Address& address) {
  return host.addresses && std::ranges::any_of(*host.addresses, [&](const InterfaceAddress& own) {
           return own.address == address;
         });
}

// Judges the forwarding of one family by its settings `all` and `own`.
Finding judge_forwarding(const LbFacts& facts, const std::string& all, const std::string& own) {
  const auto of_interface = sysctl(facts.host.sysctls, own);
  const About about{"ip_forward", sysctl_name(own)};
  if (!of_interface) return about.unknown("the kernel does not show it");
  if (*of_interface == 0) return about.ok("is 0");
  const bool is_global = sysctl(facts.host.sysctls, all).value_or(0) != 0;
  return about.error("is 1: packets passed up for a service loop between this host and its router",
                     set_sysctl(is_global ? all : own, 0));
}

}  // namespace

Findings check_kernel(const LbFacts& facts) {
  return {judge_kernel(facts.host)};
}

Findings check_bpffs(const LbFacts& facts) {
  const std::string path = facts.places.bpffs.string();
  const About about{"bpffs", path};
  if (!facts.has_bpffs) return {about.unknown(facts.has_bpffs.why_not)};
  if (*facts.has_bpffs) return {about.ok("is mounted")};
  return {about.error("is no BPF file system", "mount -t bpf bpf " + path)};
}

Findings check_interface(const LbFacts& facts) {
  if (!facts.config) return {};
  const std::string& name = facts.config->lb.interface;
  if (!facts.host.interfaces)
    return {About{"interface", name}.unknown(facts.host.interfaces.why_not)};
  return {judge_interface(name, facts.interface ? &*facts.interface : nullptr)};
}

Findings check_link_mtu(const LbFacts& facts) {
  if (!facts.config || !facts.interface) return {};
  const std::uint32_t mtu = facts.interface->mtu;
  const std::uint32_t header = largest_outer_header(*facts.config);
  const std::string& name = facts.interface->name;
  const About about{"mtu", fmt::format("{}, MTU {},", name, mtu)};

  // While remorad runs it follows the link.
  const auto& settings = facts.pins.settings;
  if (!settings) return {about.unknown(settings.why_not)};
  if (*settings && (*settings)->link_mtu != mtu) {
    return {
        about.error(fmt::format("is not that of the packet path, {}, the MTU when remorad last saw "
                                "the link",
                                (*settings)->link_mtu),
                    "systemctl restart remora")};
  }
  if (has_ipv6_service(*facts.config) && mtu < kSmallestIpv6Mtu + header) {
    return {about.error(fmt::format("is below {}: with the outer header an IPv6 client's smallest "
                                    "packets do not fit",
                                    kSmallestIpv6Mtu + header),
                        fmt::format("ip link set {} mtu {}", name, kUsualMtu))};
  }
  if (mtu > kUsualMtu) {
    return {about.warning(
        fmt::format(
            "is larger than {}: the links of the router and of every broker must be, too. "
            "Otherwise a router fragments outer packets, and remora-decap cannot reassemble them",
            kUsualMtu),
        fmt::format("ip link set {} mtu {}", name, kUsualMtu))};
  }
  std::string says = fmt::format(
      "has room for {} bytes after the outer header; clients learn this by ICMP, which costs each "
      "one a packet. advmss on the brokers' routes, or a larger MTU on all links, avoids that",
      mtu - header);
  const auto& counters = facts.pins.counters;
  if (counters && *counters && (**counters)[COUNT_TOO_BIG] > 0) {
    says += fmt::format(" (so far {} packets)", (**counters)[COUNT_TOO_BIG]);
  }
  return {about.ok(says)};
}

Findings check_offloads(const LbFacts& facts) {
  if (!facts.config || !facts.interface) return {};
  const std::string& name = facts.interface->name;
  const bool is_generic = facts.config->lb.xdp_mode == XdpMode::kGeneric;
  const About about{"offloads", fmt::format("{} of {}", is_generic ? "GRO" : "LRO", name)};
  if (!facts.offloads) return {about.unknown(facts.offloads.why_not)};
  const bool merges = is_generic ? facts.offloads->gro : facts.offloads->lro;
  if (!merges) return {about.ok("is off")};
  return {
      about.error("is on: merged segments reach the packet path, and leave no room for the outer "
                  "header",
                  fmt::format("ethtool -K {} {} off", name, is_generic ? "gro" : "lro"))};
}

// The driver's counters last as long as the interface; remorad knows whether they still grow.
Findings check_xdp_tx(const LbFacts& facts) {
  if (!facts.config || !facts.interface || facts.config->lb.xdp_mode == XdpMode::kGeneric)
    return {};
  const std::string& name = facts.interface->name;
  const About about{"xdp_tx", "XDP_TX of " + name};
  if (!facts.xdp_tx_errors) return {about.unknown(facts.xdp_tx_errors.why_not)};
  const bool is_veth = facts.driver && *facts.driver == "veth";
  std::uint64_t lost = 0;
  std::string counters;
  for (const auto& [counter, value] : *facts.xdp_tx_errors) {
    if (value == 0) continue;
    lost += value;
    counters += fmt::format("{}{} {}", counters.empty() ? "" : ", ", counter, value);
  }
  if (lost == 0) {
    return {about.ok(is_veth ? "has lost no frame; on veth it needs an XDP program at the other end"
                             : "has lost no frame")};
  }
  const auto& status = facts.daemon.status;
  const auto grew = status ? status->value("xdp_tx", nlohmann::ordered_json::object())
                                 .value("grew_s_ago", nlohmann::ordered_json())
                           : nlohmann::ordered_json();
  constexpr std::uint64_t kLately = 60;
  const bool is_now = grew.is_number() && grew.get<std::uint64_t>() <= kLately;
  const std::string says = fmt::format(
      "has lost {} frames for brokers ({}){}", lost, counters,
      is_now ? ", some of them in the last minute" : ", none of them in the last minute");
  if (!is_now) return {about.warning(says, "ethtool -S " + name)};
  if (!is_veth) return {about.error(says, "ethtool -S " + name)};
  return {about.error(
      says + ": veth delivers them only to an end that has an XDP program of its own",
      "ip link set dev OTHER_END xdp obj xdp_pass.bpf.o sec xdp  (there; or [lb] xdp_mode = "
      "\"generic\" here)")};
}

Findings check_gateway(const LbFacts& facts) {
  if (!facts.config || !facts.interface) return {};
  if (facts.config->lb.forwarder == ForwarderKind::kKatranShared)
    return {About{"gateway", "the gateway"}.ok("is configured in the Katran server")};
  const std::string& name = facts.interface->name;
  const auto& fixed = facts.config->lb.gateway_mac;
  Findings found;
  std::optional<MacAddress> expected = fixed;
  if (fixed) {
    found.push_back(About{"gateway", "[lb] gateway_mac"}.ok("is fixed: " + to_string(*fixed)));
  } else if (!facts.router) {
    found.push_back(About{"gateway", "router of " + name}.unknown(facts.router.why_not));
  } else if (!facts.router->address) {
    found.push_back(About{"gateway", "default route through " + name}.error(
        "is missing, so packets for brokers have nowhere to go",
        "ip route add default via ROUTER dev " + name));
  } else {
    const std::string router = to_string(*facts.router->address);
    expected = facts.router->mac;
    const About about{"gateway", router};
    found.push_back(
        expected
            ? about.ok("is at " + to_string(*expected))
            : about.error(
                  fmt::format("does not answer {}, so packets for brokers are dropped",
                              facts.router->address->is_ipv4() ? "ARP" : "neighbour discovery"),
                  fmt::format("ip neighbour show {} dev {}", router, name)));
  }
  const About path{"gateway", "the packet path"};
  const auto& used = facts.pins.gateway;
  if (!used) found.push_back(path.unknown(used.why_not));
  if (!used || !*used || !expected || **used == *expected) return found;
  found.push_back(path.error((*used)->is_zero()
                                 ? "does not know the gateway yet: packets for brokers are dropped"
                                 : "sends packets for brokers to " + to_string(**used),
                             "systemctl restart remora"));
  return found;
}

Findings check_forwarding(const LbFacts& facts) {
  if (!facts.config || !facts.interface) return {};
  const std::string& name = facts.interface->name;
  Findings found = {
      judge_forwarding(facts, "net/ipv4/ip_forward", conf_path("ipv4", name, "forwarding"))};
  if (has_ipv6_service(*facts.config)) {
    found.push_back(judge_forwarding(facts, conf_path("ipv6", "all", "forwarding"),
                                     conf_path("ipv6", name, "forwarding")));
  }
  return found;
}

Findings check_outer_source(const LbFacts& facts) {
  if (!facts.config) return {};
  const Lb& lb = facts.config->lb;
  const About about{"outer_source", "the source of outer packets"};
  if (!lb.outer_source4 && !lb.outer_source6) {
    return {
        about.ok("is in 172.16.0.0/16 or 100::/64. Routers must forward these addresses, without a "
                 "reverse path filter on the link to this host; this cannot be checked from here")};
  }
  Findings found;
  for (const auto& source : {lb.outer_source4, lb.outer_source6}) {
    if (!source) continue;
    const std::string text = to_string(*source);
    if (!facts.host.addresses) {
      found.push_back(about.unknown(facts.host.addresses.why_not));
    } else if (is_on_this_host(facts.host, *source)) {
      found.push_back(about.ok("is " + text + ", on this host"));
    } else {
      found.push_back(about.warning(
          "is " + text +
          ", which is not on this host: routers' errors about packets to brokers come back only if "
          "it is routed here"));
    }
  }
  return found;
}

// XDP takes service packets before the stack sees them, so a local service address takes none
// away. But it answers ARP, ping and other ports, and while no program is attached, the kernel
// refuses connections, or a local broker accepts them.
Findings check_service_addresses(const LbFacts& facts) {
  if (!facts.config) return {};
  Findings found;
  for (const Service& service : facts.config->services) {
    const About about{"service_address",
                      to_string(service.address) + " port " + std::to_string(service.port)};
    if (!facts.host.addresses) {
      found.push_back(about.unknown(facts.host.addresses.why_not));
      continue;
    }
    if (!is_on_this_host(facts.host, service.address)) {
      found.push_back(
          about.ok("is not an address of this host; the router must have a route to here"));
      continue;
    }
    if (!facts.listeners) {
      found.push_back(about.unknown(facts.listeners.why_not));
      continue;
    }
    if (service.unknown_clients == UnknownClients::kRouter) {
      found.push_back(about.ok("is an address of this host, where the router listens"));
      continue;
    }
    const bool is_served = std::ranges::any_of(*facts.listeners, [&](const Listener& listener) {
      return listener.port == service.port &&
             (listener.address == service.address || listener.address.is_unspecified());
    });
    found.push_back(
        is_served
            ? about.warning("is an address of this host, and a process listens there: while the "
                            "programs are off the interface, clients reach that process")
            : about.ok("is an address of this host, which answers ARP and ping for it, and refuses "
                       "connections while the programs are off the interface"));
  }
  return found;
}

Findings check_routes_to_reals(const LbFacts& facts) {
  if (!facts.config || facts.config->lb.forwarder == ForwarderKind::kKatranShared) return {};
  const About about{"routes", "routes of this host to the reals"};
  if (!facts.routes_to_reals) return {about.unknown(facts.routes_to_reals.why_not)};
  Findings found;
  std::map<int, std::vector<std::string>> refused;  // by errno
  for (const auto& [real, route] : *facts.routes_to_reals) {
    if (route.is_local) {
      found.push_back(About{"routes", to_string(real)}.error(
          "is an address of this host, but a real must be another host"));
    } else if (route.refused != 0) {
      refused[route.refused].push_back(to_string(real));
    }
  }
  for (const auto& [error, reals] : refused) {
    constexpr std::size_t kNamed = 3;
    std::string names = reals.front();
    for (std::size_t i = 1; i < std::min(reals.size(), kNamed); ++i) names += ", " + reals[i];
    if (reals.size() > kNamed) names += fmt::format(" and {} more", reals.size() - kNamed);
    found.push_back(About{"routes", "the route of this host to " + names}.warning(
        fmt::format("is missing ({}): remorad cannot end sessions there. Clients' packets are not "
                    "affected: they go to the gateway",
                    std::strerror(error)),
        "ip route get " + reals.front()));
  }
  if (found.empty())
    found.push_back(about.ok(fmt::format("are there, all {}", facts.routes_to_reals->size())));
  return found;
}

Findings check_memory(const LbFacts& facts) {
  if (!facts.config) return {};
  const std::uint64_t needed = total_bytes(memory_plan(*facts.config)) >> 20;
  const About about{"memory", "what [limits] need"};
  const auto& settings = facts.pins.settings;
  if (!settings) return {about.unknown(settings.why_not)};
  if (*settings) return {about.ok(fmt::format("is in use: about {} MiB", needed))};
  if (!facts.memory_available) return {about.unknown(facts.memory_available.why_not)};
  const std::uint64_t available = *facts.memory_available >> 20;
  if (needed <= available) {
    return {about.ok(fmt::format("is {} MiB, of {} that are available", needed, available))};
  }
  return {
      about.error(fmt::format("is {} MiB, and {} are available: remorad will not "
                              "start. Lower clients or flows",
                              needed, available))};
}

}  // namespace remora::doctor
