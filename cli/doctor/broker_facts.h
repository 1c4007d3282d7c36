// SPDX-License-Identifier: Apache-2.0
//
// The facts that the checks of a broker host judge, and the function that collects them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cli/decap_config.h"
#include "cli/doctor/decap_state.h"
#include "cli/doctor/facts.h"
#include "daemon/base/address.h"

namespace remora::doctor {

struct BrokerQuestion {
  std::filesystem::path config;  // empty: the default, if there is one
  std::string interface;         // empty: it is found out
  std::vector<ServiceAt> services;
  std::vector<Address> vips;  // behind Katran: those of the broker's groups
  // Examples of clients. The defaults belong to nobody (RFC 5737, RFC 3849).
  std::optional<Address> client4;
  std::optional<Address> client6;
};

// A packet as it reaches the stack: the inner one after the device or program that removes the
// outer header, and the outer one if the kernel's device does that.
struct Arrival {
  std::string interface;
  bool is_outer = false;
  Address from;
  Address to;
  RouteAnswer route;
};

struct BrokerFacts {
  BrokerQuestion question;
  Host host;
  std::string config_file;  // empty: there is none
  Fact<DecapConfig> config;
  bool may_not_read_config = false;
  std::vector<ServiceAt> services;  // those of the question and of the configuration
  std::string interface_name;       // empty: none was found
  std::optional<Interface> interface;
  Fact<AttachedXdp> xdp;
  Fact<DecapState> decap;  // of the decap program on the interface
  // Interfaces for which an nftables rule drops packets; only without the decap program.
  Fact<std::set<std::string>> guarded_interfaces;
  Fact<std::vector<Listener>> listeners;
  Fact<std::vector<Arrival>> arrivals;             // IPv4 only, which has reverse path filters
  Fact<std::map<Address, RouteAnswer>> ways_back;  // by service: the route to a client
};

// The name of the decap program, as the kernel keeps it.
inline constexpr std::string_view kDecapProgram = "xdp_decap";

inline bool has_decap(const BrokerFacts& facts) {
  return facts.xdp &&
         (facts.xdp->native_name == kDecapProgram || facts.xdp->generic_name == kDecapProgram);
}

// Whether the interface is a kernel device that removes outer headers from packets to that service.
inline bool strips_for(const Interface& interface, const Address& service) {
  return interface.kind == "ip6tnl" || (interface.kind == "ipip" && service.is_ipv4());
}

bool is_own_address(const Host& host, const Address& address);

BrokerFacts look_at_broker(const BrokerQuestion& question);

}  // namespace remora::doctor
