// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "cli/doctor/broker_checks.h"
#include "cli/doctor/common_checks.h"

namespace remora::doctor {
namespace {

std::set<Address> addresses_of(const BrokerFacts& facts) {
  std::set<Address> all;
  for (const ServiceAt& service : facts.services) all.insert(service.address);
  return all;
}

std::string host_prefix(const Address& address) {
  return remora::to_string(address) + (address.is_ipv4() ? "/32" : "/128");
}

std::string add_to_lo(const Address& address) {
  return "ip address add " + host_prefix(address) + " dev lo" + (address.is_ipv4() ? "" : " nodad");
}

// Whether the interface announces its addresses to neighbours.
bool tells_neighbours(const Interface& interface) {
  return interface.answers_arp && interface.kind != "dummy";
}

// The value in effect: the larger of the settings for all interfaces and for this one.
std::optional<long> effective(const Sysctls& sysctls, const std::string& interface,
                              std::string_view key) {
  const auto all = sysctl(sysctls, conf_path("ipv4", "all", key));
  const auto own = sysctl(sysctls, conf_path("ipv4", interface, key));
  if (!all || !own) return std::nullopt;
  return std::max(*all, *own);
}

// The command that turns off a setting of which the larger value counts.
std::string turn_off(const Sysctls& sysctls, const std::string& interface, std::string_view key) {
  std::string command = "sysctl -w";
  for (const std::string& scope : {std::string("all"), interface}) {
    const std::string path = conf_path("ipv4", scope, key);
    if (sysctl(sysctls, path).value_or(0) != 0) command += " " + sysctl_name(path) + "=0";
  }
  return command;
}

bool is_in_network(const Address& address, const InterfaceAddress& network) {
  if (address.is_ipv4() != network.address.is_ipv4()) return false;
  const auto one = address.bytes(), other = network.address.bytes();
  const unsigned bits = network.prefix_length + (address.is_ipv4() ? 96 : 0);
  for (unsigned bit = 0; bit < bits && bit < 128; ++bit) {
    if (((one[bit / 8] ^ other[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

// Neighbours ask for addresses in a network of the interface; for others only in odd setups.
bool is_asked_for(const BrokerFacts& facts, const Address& service) {
  return std::ranges::any_of(*facts.host.addresses, [&](const InterfaceAddress& own) {
    return own.interface_index == facts.interface->index && own.address != service &&
           is_in_network(service, own);
  });
}

Finding judge_arp_setting(const BrokerFacts& facts, const Address& service, std::string_view key,
                          long needed, const std::string& consequence) {
  const About about{"arp", sysctl_name(conf_path("ipv4", facts.interface_name, key))};
  const auto value = effective(facts.host.sysctls, facts.interface_name, key);
  if (!value) return about.unknown("the kernel does not show it");
  if (*value >= needed) return about.ok(fmt::format("is {}", *value));
  const std::string says = fmt::format("is {}: {}", *value, consequence);
  const std::string remedy = set_sysctl(conf_path("ipv4", "all", key), needed);
  if (is_asked_for(facts, service))
    return about.error(says + ", and it is in a network of that interface", remedy);
  return about.warning(says, remedy);
}

struct Heard {
  bool surely = false;
  bool perhaps = false;  // it listens on `::`, but IPv4 is not certain
};

Heard hears(const Listener& listener, const Address& service) {
  if (listener.address == service) return {true, false};
  if (!listener.address.is_unspecified()) return {};
  if (listener.address.is_ipv4() == service.is_ipv4()) return {true, false};
  if (!service.is_ipv4()) return {};
  return {listener.takes_ipv4.value_or(false), !listener.takes_ipv4};
}

Finding judge_listener(const BrokerFacts& facts, const ServiceAt& service) {
  const std::uint16_t port = service.port != 0 ? service.port : kMqttPort;
  const About about{"listener", to_string(ServiceAt{service.address, port})};
  std::string elsewhere;
  bool perhaps = false;
  for (const Listener& listener : *facts.listeners) {
    if (listener.port != port) continue;
    const Heard heard = hears(listener, service.address);
    if (heard.surely) {
      return about.ok(fmt::format("is served: a process listens on {}",
                                  to_string(ServiceAt{listener.address, port})));
    }
    perhaps |= heard.perhaps;
    elsewhere += (elsewhere.empty() ? "" : ", ") + remora::to_string(listener.address);
  }
  if (perhaps) {
    return about.unknown(
        "a process listens on [::]; this kernel does not tell whether it accepts IPv4, too (no "
        "tcp_diag)");
  }
  if (!elsewhere.empty()) {
    return about.error(
        fmt::format("is not served: a process listens on {} only. "
                    "Let the broker listen on all addresses",
                    elsewhere));
  }
  if (service.port == 0) {
    return about.unknown(
        "no process listens there, but the service may have another port: add "
        "--service ADDRESS:PORT");
  }
  return about.error("has no listener: start the broker, or let it listen on that port");
}

Finding judge_rp_filter(const BrokerFacts& facts, const std::string& interface, bool is_tunnel,
                        const Arrival* arrival) {
  const Sysctls& sysctls = facts.host.sysctls;
  const auto value = effective(sysctls, interface, "rp_filter");
  const About about{"rp_filter",
                    sysctl_name(conf_path("ipv4", interface, "rp_filter")) + " (or all)"};
  if (!value) return about.unknown("the kernel does not show it");
  if (*value == 0) return about.ok("is 0");
  const std::string remedy = turn_off(sysctls, interface, "rp_filter");
  std::string drops;
  if (const auto count = kernel_count(facts.host, "TcpExt.IPReversePathFilter"); count > 0)
    drops = fmt::format(" (so far {} packets)", count);
  if (arrival && arrival->route.refused != 0) {
    return about.error(
        fmt::format("is {}: a packet from {} that arrives there is dropped, because answers leave "
                    "elsewhere{}",
                    *value, remora::to_string(arrival->from), drops),
        remedy);
  }
  if (*value != 1) return about.ok(fmt::format("is {}, which lets them pass", *value));
  // Answers never leave through a tunnel that accepts any source.
  if (is_tunnel && !arrival)
    return about.error("is 1: packets that arrive there are dropped" + drops, remedy);
  return about.warning(
      fmt::format("is 1: packets pass only as long as answers to their sources leave on {}{}",
                  interface, drops),
      remedy);
}

}  // namespace

Findings check_service_is_local(const BrokerFacts& facts) {
  Findings found;
  for (const Address& service : addresses_of(facts)) {
    const About about{"service_address", remora::to_string(service)};
    if (!facts.host.addresses) {
      found.push_back(about.unknown(facts.host.addresses.why_not));
      continue;
    }
    const InterfaceAddress* own = nullptr;
    for (const InterfaceAddress& candidate : *facts.host.addresses) {
      if (candidate.address == service && (!own || candidate.is_usable)) own = &candidate;
    }
    if (!own) {
      found.push_back(about.error("is not an address of this host: its packets are not accepted",
                                  add_to_lo(service)));
      continue;
    }
    const Interface* interface = interface_with(facts.host, own->interface_index);
    const std::string name = interface ? interface->name : "?";
    if (!own->is_usable) {
      found.push_back(about.error(
          fmt::format("is on {}, but another host has it, or the check for that has not ended",
                      name),
          fmt::format("ip address del {} dev {} && {}", host_prefix(service), name,
                      add_to_lo(service))));
    } else {
      found.push_back(about.ok("is on " + name));
    }
  }
  return found;
}

Findings check_arp(const BrokerFacts& facts) {
  if (!facts.host.addresses || !facts.interface) return {};
  Findings found;
  std::optional<Address> hidden;  // an IPv4 address, preferably one that neighbours ask for
  for (const Address& service : addresses_of(facts)) {
    bool is_hidden = false;
    std::vector<std::pair<const Interface*, const InterfaceAddress*>> told;
    for (const InterfaceAddress& own : *facts.host.addresses) {
      const Interface* interface = interface_with(facts.host, own.interface_index);
      if (own.address != service || !interface) continue;
      if (tells_neighbours(*interface)) {
        told.emplace_back(interface, &own);
      } else {
        is_hidden = true;
      }
    }
    for (const auto& [interface, own] : told) {
      std::string remedy = fmt::format("ip address del {}/{} dev {}", remora::to_string(service),
                                       own->prefix_length, interface->name);
      if (!is_hidden) remedy += " && " + add_to_lo(service);
      found.push_back(
          About{"arp", fmt::format("{} on {}", remora::to_string(service), interface->name)}.error(
              fmt::format("is announced by {}, so that clients and the router send to this host, "
                          "past the load balancer",
                          service.is_ipv4() ? "ARP" : "neighbour discovery"),
              remedy));
    }
    if (!is_hidden || !service.is_ipv4()) continue;
    if (!hidden || is_asked_for(facts, service)) hidden = service;
  }
  if (!hidden) return found;
  const std::string address = remora::to_string(*hidden);
  found.push_back(
      judge_arp_setting(facts, *hidden, "arp_ignore", 1, "this host answers ARP for " + address));
  found.push_back(judge_arp_setting(facts, *hidden, "arp_announce", 2,
                                    "this host may ask its neighbours as " + address));
  return found;
}

Findings check_rp_filter(const BrokerFacts& facts) {
  if (!facts.interface || !facts.host.interfaces) return {};
  const std::set<Address> services = addresses_of(facts);
  if (std::ranges::none_of(services, [](const Address& service) { return service.is_ipv4(); }))
    return {};
  if (!facts.arrivals)
    return {About{"rp_filter", "whether packets pass it"}.unknown(facts.arrivals.why_not)};
  Findings found;
  const auto judge = [&](const Interface& interface, bool is_tunnel) {
    const Arrival* worst = nullptr;
    for (const Arrival& arrival : *facts.arrivals) {
      if (arrival.interface != interface.name) continue;
      if (!worst || arrival.route.refused != 0) worst = &arrival;
    }
    found.push_back(judge_rp_filter(facts, interface.name, is_tunnel, worst));
  };
  judge(*facts.interface, false);
  if (has_decap(facts)) return found;
  for (const Interface& device : *facts.host.interfaces) {
    const bool is_used = device.is_up && std::ranges::any_of(services, [&](const Address& service) {
                           return service.is_ipv4() && strips_for(device, service);
                         });
    if (is_used) judge(device, true);
  }
  return found;
}

Findings check_ipv6(const BrokerFacts& facts) {
  const std::set<Address> services = addresses_of(facts);
  const bool is_needed =
      std::ranges::any_of(services, [](const Address& service) { return !service.is_ipv4(); });
  if (!is_needed || !facts.interface) return {};
  Findings found;
  for (const std::string& interface : {std::string("lo"), facts.interface_name}) {
    const std::string path = conf_path("ipv6", interface, "disable_ipv6");
    const About about{"ipv6", sysctl_name(path)};
    const auto value = sysctl(facts.host.sysctls, path);
    if (!value) {
      found.push_back(about.error("is not there: this kernel runs without IPv6"));
    } else if (*value != 0) {
      found.push_back(about.error("is 1, but the service is IPv6", set_sysctl(path, 0)));
    } else {
      found.push_back(about.ok("is 0"));
    }
  }
  return found;
}

Findings check_listener(const BrokerFacts& facts) {
  Findings found;
  for (const ServiceAt& service : facts.services) {
    found.push_back(facts.listeners
                        ? judge_listener(facts, service)
                        : About{"listener", to_string(service)}.unknown(facts.listeners.why_not));
  }
  return found;
}

Findings check_way_back(const BrokerFacts& facts) {
  Findings found;
  for (const Address& service : addresses_of(facts)) {
    const About about{"way_back", "the route of answers from " + remora::to_string(service)};
    if (!facts.ways_back) {
      found.push_back(about.unknown(facts.ways_back.why_not));
      continue;
    }
    const auto route = facts.ways_back->find(service);
    if (route == facts.ways_back->end()) continue;
    if (route->second.refused != 0) {
      found.push_back(
          about.error(fmt::format("leads nowhere: {}", std::strerror(route->second.refused)),
                      fmt::format("ip{} route", service.is_ipv4() ? "" : " -6")));
      continue;
    }
    const Interface* interface = interface_with(facts.host, route->second.interface_index);
    found.push_back(about.ok(fmt::format(
        "leads to {}{}", interface ? interface->name : "another interface",
        route->second.gateway ? " via " + remora::to_string(*route->second.gateway) : "")));
  }
  return found;
}

}  // namespace remora::doctor
