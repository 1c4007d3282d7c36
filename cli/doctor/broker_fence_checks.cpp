// SPDX-License-Identifier: Apache-2.0
//
// Packets that pass from the tunnel into this host: anybody can send IPIP to it.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "cli/doctor/broker_checks.h"
#include "cli/doctor/common_checks.h"

namespace remora::doctor {
namespace {

constexpr const char* kFile = "/etc/remora/decap.toml";

// Whether both can be the same service, as far as their ports are known.
bool are_one(const ServiceAt& a, const ServiceAt& b) {
  return a.address == b.address && (a.port == b.port || a.port == 0 || b.port == 0);
}

bool contains(const std::vector<ServiceAt>& services, const ServiceAt& service) {
  return std::ranges::any_of(services, [&](const ServiceAt& one) { return are_one(one, service); });
}

// Judges a service that the user named by those in force.
Finding judge_service(const BrokerFacts& facts, const ServiceAt& service) {
  const About about{"services", to_string(service)};
  if (contains(*facts.decap->services, service))
    return about.ok("passes from the tunnel into this host");
  if (facts.config && contains(facts.config->services, service)) {
    return about.error("is in the file but not in force: its packets are dropped",
                       attach_command(facts));
  }
  return about.error(
      fmt::format("is not in force: its packets are dropped. Add a [[service]] to {}, then", kFile),
      attach_command(facts));
}

// The rules that let packets pass from a device to the services, and drop all others.
std::string nft_rules(const BrokerFacts& facts, const Interface& device) {
  std::string rules =
      "nft 'add table inet remora; "
      "add chain inet remora inner { type filter hook prerouting priority raw; }; ";
  const auto add = [&](const std::string& rule) {
    rules += fmt::format("add rule inet remora inner iifname \"{}\" {}; ", device.name, rule);
  };
  std::optional<Address> before;
  for (const ServiceAt& service : facts.services) {
    const std::string address = remora::to_string(service.address);
    const bool is_ipv4 = service.address.is_ipv4();
    const std::uint16_t port = service.port != 0 ? service.port : kMqttPort;
    if (!strips_for(device, service.address)) continue;
    add(fmt::format("{} daddr {} tcp dport {} accept", is_ipv4 ? "ip" : "ip6", address, port));
    if (before == service.address) continue;
    before = service.address;
    add(is_ipv4 ? fmt::format("ip daddr {} icmp type destination-unreachable accept", address)
                : fmt::format("ip6 daddr {} icmpv6 type {{ packet-too-big, "
                              "destination-unreachable }} accept",
                              address));
  }
  rules += fmt::format("add rule inet remora inner iifname \"{}\" counter drop'", device.name);
  return rules;
}

Finding judge_device(const BrokerFacts& facts, const Interface& device) {
  const About about{"fence", fmt::format("the device {} ({})", device.name, device.kind)};
  if (!facts.guarded_interfaces) return about.unknown(facts.guarded_interfaces.why_not);
  if (facts.guarded_interfaces->contains(device.name)) {
    return about.ok(
        "is named by an nftables rule that drops packets; which packets it accepts was not "
        "examined");
  }
  return about.warning(
      "passes inner packets from any source to any address of this host, and no nftables rule "
      "names it. These let only the services through:",
      nft_rules(facts, device));
}

}  // namespace

Findings check_decap_services(const BrokerFacts& facts) {
  if (!has_decap(facts)) return {};
  const About about{"services", "the program on " + facts.interface_name};
  if (!facts.decap) return {about.unknown(facts.decap.why_not)};
  if (!facts.decap->services) {
    return {
        about.warning("is that of version 0.1, which passes inner packets to any address of "
                      "this host. Name the services in the file, then",
                      attach_command(facts))};
  }
  if (facts.services.empty()) return {};  // check_services_are_known() says so
  Findings found;
  for (const ServiceAt& service : facts.services) found.push_back(judge_service(facts, service));
  for (const ServiceAt& service : *facts.decap->services) {
    if (!contains(facts.services, service)) {
      found.push_back(About{"services", to_string(service)}.warning(
          "is in force, but neither the file nor the command line names it",
          attach_command(facts)));
    }
  }
  return found;
}

Findings check_sources(const BrokerFacts& facts) {
  if (!has_decap(facts) || !facts.decap || !facts.decap->services) return {};
  const About about{"sources", "the outer sources"};
  const std::vector<Prefix> none;
  const std::vector<Prefix>& wanted = facts.config ? facts.config->from : none;
  if (!std::ranges::is_permutation(facts.decap->from, wanted)) {
    return {
        about.warning("that may send are not those of `from` in the file", attach_command(facts))};
  }
  if (wanted.empty()) {
    return {about.ok(
        fmt::format("may be any; `from` in {} can name the load balancers' networks", kFile))};
  }
  return {about.ok(fmt::format("are limited to {} networks; they can be forged", wanted.size()))};
}

Findings check_refused(const BrokerFacts& facts) {
  if (!has_decap(facts) || !facts.decap || !facts.decap->services) return {};
  const About about{"refused", "inner packets"};
  const DecapState& decap = *facts.decap;
  if (decap.no_service == 0 && decap.foreign_source == 0)
    return {about.ok("were never refused since the program was attached")};
  Findings found;
  if (decap.no_service != 0) {
    found.push_back(about.warning(fmt::format(
        "were refused, {} since the program was attached, because they were for no service of this "
        "broker: a [[service]] or [[vip]] is missing, or somebody is probing the tunnel",
        decap.no_service)));
  }
  if (decap.foreign_source != 0) {
    found.push_back(about.warning(fmt::format(
        "were refused, {} since the program was attached, because their outer source is in no "
        "network of `from`",
        decap.foreign_source)));
  }
  return found;
}

Findings check_device_fence(const BrokerFacts& facts) {
  if (has_decap(facts) || !facts.host.interfaces || facts.services.empty()) return {};
  Findings found;
  for (const Interface& device : *facts.host.interfaces) {
    const bool is_used = device.is_up && device.takes_any_source &&
                         std::ranges::any_of(facts.services, [&](const ServiceAt& service) {
                           return strips_for(device, service.address);
                         });
    if (is_used) found.push_back(judge_device(facts, device));
  }
  return found;
}

Findings check_vips(const BrokerFacts& facts) {
  if (!has_decap(facts)) return {};
  const About about{"vips", "the VIPs that become services"};
  if (!facts.decap) return {about.unknown(facts.decap.why_not)};
  const auto same_key = [](const DecapVip& one) {
    return [one](const DecapVip& other) { return one.vip == other.vip && one.port == other.port; };
  };
  const std::string reload = attach_command(facts);
  Findings found;
  const std::vector<DecapVip> none;
  const std::vector<DecapVip>& wanted = facts.config ? facts.config->vips : none;
  for (const DecapVip& entry : wanted) {
    const About one{"vips", to_string(ServiceAt{entry.vip, entry.port})};
    const auto in_force = std::ranges::find_if(facts.decap->vips, same_key(entry));
    if (in_force == facts.decap->vips.end()) {
      found.push_back(
          one.error("is in the file but not in force: its packets are dropped", reload));
    } else if (in_force->service != entry.service) {
      found.push_back(one.error(
          fmt::format("becomes {}, not {} as the file says", remora::to_string(in_force->service),
                      remora::to_string(entry.service)),
          reload));
    }
  }
  for (const DecapVip& entry : facts.decap->vips) {
    if (facts.config && std::ranges::none_of(wanted, same_key(entry))) {
      found.push_back(About{"vips", to_string(ServiceAt{entry.vip, entry.port})}.warning(
          "is in force but not in the file", reload));
    }
  }
  for (const Address& vip : facts.question.vips) {
    const bool is_there = std::ranges::any_of(
        facts.decap->vips, [&](const DecapVip& entry) { return entry.vip == vip; });
    if (!is_there) {
      found.push_back(About{"vips", remora::to_string(vip)}.error(
          "has no entry: its packets are dropped. Add a [[vip]] to /etc/remora/decap.toml, then",
          reload));
    }
  }
  if (found.empty() && !facts.decap->vips.empty())
    found.push_back(about.ok(fmt::format("are in force, all {}", facts.decap->vips.size())));
  return found;
}

}  // namespace remora::doctor
