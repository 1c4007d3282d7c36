// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/broker_facts.h"

#include <algorithm>

#include "cli/doctor/host.h"
#include "cli/doctor/nftables.h"
#include "cli/doctor/programs.h"

namespace remora::doctor {
namespace {

constexpr const char* kDefaultConfig = "/etc/remora/decap.toml";

const Address kSomeClient4 = *Address::parse("198.51.100.1");
const Address kSomeClient6 = *Address::parse("2001:db8::1");
// One of the source addresses that Katran, and Remora by default, write into outer headers.
const Address kSomeOuterSource = *Address::parse("172.16.0.1");

Address client_for(const BrokerQuestion& question, const Address& service) {
  return service.is_ipv4() ? question.client4.value_or(kSomeClient4)
                           : question.client6.value_or(kSomeClient6);
}

std::vector<ServiceAt> services_of(const BrokerFacts& facts) {
  std::vector<ServiceAt> all = facts.question.services;
  if (facts.config) {
    all.insert(all.end(), facts.config->services.begin(), facts.config->services.end());
  }
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  // An address without a port adds nothing if another entry has the port.
  std::erase_if(all, [all](const ServiceAt& one) {
    return one.port == 0 && std::ranges::any_of(all, [&](const ServiceAt& other) {
             return other.address == one.address && other.port != 0;
           });
  });
  return all;
}

// The interface where the load balancer's packets arrive: the one that is named, the one with the
// decap program, or the one through which packets for clients leave.
std::string find_arrival_interface(const BrokerFacts& facts) {
  if (!facts.question.interface.empty()) return facts.question.interface;
  if (facts.config && !facts.config->interface.empty()) return facts.config->interface;
  if (!facts.host.interfaces) return "";
  for (const Interface& interface : *facts.host.interfaces) {
    const Fact<AttachedXdp> xdp = look([&] { return attached_xdp(interface.index); });
    if (xdp && (xdp->native_name == kDecapProgram || xdp->generic_name == kDecapProgram))
      return interface.name;
  }
  for (const Address& client : {facts.question.client4.value_or(kSomeClient4),
                                facts.question.client6.value_or(kSomeClient6)}) {
    const Fact<RouteAnswer> route = look([&] { return route_to(client, std::nullopt); });
    if (!route || route->refused != 0) continue;
    for (const Interface& interface : *facts.host.interfaces) {
      if (interface.index == route->interface_index) return interface.name;
    }
  }
  return "";
}

std::vector<Arrival> look_at_arrivals(const BrokerFacts& facts) {
  std::vector<Arrival> all;
  const auto add = [&](const Interface& at, bool is_outer, const Address& from, const Address& to) {
    all.push_back({at.name, is_outer, from, to, route_of_arrival(from, to, at.index)});
  };
  for (const ServiceAt& service : facts.services) {
    if (!service.address.is_ipv4() || !is_own_address(facts.host, service.address)) continue;
    const Address client = client_for(facts.question, service.address);
    if (has_decap(facts)) {
      add(*facts.interface, false, client, service.address);
      continue;
    }
    for (const Interface& device : *facts.host.interfaces) {
      if (device.is_up && strips_for(device, service.address))
        add(device, false, client, service.address);
    }
  }
  if (has_decap(facts)) return all;
  for (const InterfaceAddress& own : *facts.host.addresses) {
    if (own.interface_index != facts.interface->index || !own.address.is_ipv4()) continue;
    add(*facts.interface, true, kSomeOuterSource, own.address);
    break;
  }
  return all;
}

std::map<Address, RouteAnswer> look_for_ways_back(const BrokerFacts& facts) {
  std::map<Address, RouteAnswer> all;
  for (const ServiceAt& service : facts.services) {
    std::optional<Address> from;
    if (is_own_address(facts.host, service.address)) from = service.address;
    all[service.address] = route_to(client_for(facts.question, service.address), from);
  }
  return all;
}

}  // namespace

bool is_own_address(const Host& host, const Address& address) {
  return host.addresses && std::ranges::any_of(*host.addresses, [&](const InterfaceAddress& own) {
           return own.address == address;
         });
}

BrokerFacts look_at_broker(const BrokerQuestion& question) {
  BrokerFacts facts;
  facts.question = question;
  facts.host = look_at_host();
  facts.listeners = look(read_listeners);
  std::error_code error;
  if (!question.config.empty()) {
    facts.config_file = question.config.string();
  } else if (std::filesystem::exists(kDefaultConfig, error) || error) {
    facts.config_file = kDefaultConfig;
  }
  if (!facts.config_file.empty())
    facts.config = look([&] { return load_decap_config(facts.config_file); });
  facts.may_not_read_config = may_not_read(facts.config_file);
  facts.services = services_of(facts);
  facts.ways_back = look([&] { return look_for_ways_back(facts); });
  facts.interface_name = find_arrival_interface(facts);
  if (!facts.host.interfaces) return facts;
  for (const Interface& interface : *facts.host.interfaces) {
    if (interface.name == facts.interface_name) facts.interface = interface;
  }
  if (!facts.interface) return facts;
  facts.xdp = look([&] { return attached_xdp(facts.interface->index); });
  if (has_decap(facts)) {
    facts.decap = look([&] {
      const bool is_native = facts.xdp->native_name == kDecapProgram;
      return decap_in_force(is_native ? facts.xdp->native_id : facts.xdp->generic_id);
    });
  } else {
    facts.guarded_interfaces = look(interfaces_with_drop_rules);
  }
  if (facts.host.addresses) facts.arrivals = look([&] { return look_at_arrivals(facts); });
  return facts;
}

}  // namespace remora::doctor
