// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>

#include "cli/doctor/broker_checks.h"
#include "cli/doctor/common_checks.h"

namespace remora::doctor {
namespace {

bool has_vips(const BrokerFacts& facts) {
  return !facts.question.vips.empty() || (facts.config && !facts.config->vips.empty());
}

bool wants_generic(const BrokerFacts& facts) {
  return facts.config && facts.config->xdp_mode == XdpMode::kGeneric;
}

// The program is on the interface; judges its mode.
Finding judge_decap(const BrokerFacts& facts) {
  const About about{"outer_header", "remora-decap on " + facts.interface_name};
  const bool is_generic = facts.xdp->generic_name == kDecapProgram;
  if (facts.config && is_generic != wants_generic(facts)) {
    return about.warning(
        fmt::format(
            "is there in {} mode, unlike xdp_mode in {}: the next attempt to attach it fails",
            is_generic ? "generic" : "native", facts.config_file),
        fmt::format("remora-decap{} --detach {} && {}", is_generic ? " --generic" : "",
                    facts.interface_name, attach_command(facts)));
  }
  return about.ok(
      fmt::format("removes outer headers, in {} mode", is_generic ? "generic" : "native"));
}

// Judges a service whose outer headers the kernel's own devices must remove.
Finding judge_devices(const BrokerFacts& facts, const Address& service) {
  const About about{"outer_header", "packets for " + to_string(service)};
  const Interface *down = nullptr, *narrow = nullptr;
  for (const Interface& device : *facts.host.interfaces) {
    if (!strips_for(device, service)) continue;
    if (!device.is_up) {
      down = &device;
    } else if (!device.takes_any_source) {
      narrow = &device;
    } else {
      return about.ok(
          fmt::format("lose their outer header to the device {} ({})", device.name, device.kind));
    }
  }
  std::string says = "have an outer header that nothing removes";
  if (const auto unknown = kernel_count(facts.host, "Ip.InUnknownProtos"); unknown > 0)
    says += fmt::format("; {} packets of an unknown protocol have arrived", unknown);
  const std::string& other =
      facts.xdp->native_id != 0 ? facts.xdp->native_name : facts.xdp->generic_name;
  if (!other.empty())
    says += fmt::format("; the XDP program \"{}\" on {} is not ours", other, facts.interface_name);
  if (down) {
    return about.error(says + "; the device " + down->name + " is down",
                       "ip link set " + down->name + " up");
  }
  if (narrow) {
    return about.error(says + "; the device " + narrow->name +
                           " accepts packets from one source only, but they have many",
                       attach_command(facts));
  }
  return about.error(says, attach_command(facts));
}

}  // namespace

std::string attach_command(const BrokerFacts& facts) {
  const std::string& file = facts.question.config.native();
  std::string command = "remora-decap";
  if (!file.empty()) command += " --config " + file;
  if (wants_generic(facts)) command += " --generic";
  for (const ServiceAt& service : facts.question.services) {
    const bool is_in_file = facts.config && std::ranges::find(facts.config->services, service) !=
                                                facts.config->services.end();
    if (service.port != 0 && !is_in_file) command += " --service " + to_string(service);
  }
  return command + " " + facts.interface_name;
}

Findings check_broker_kernel(const BrokerFacts& facts) {
  // The kernel's own devices need no BPF.
  if (facts.xdp && !has_decap(facts) && !has_vips(facts))
    return {About{"kernel", "Linux " + facts.host.kernel_release}.ok("needs no BPF here")};
  return {judge_kernel(facts.host)};
}

Findings check_decap_configuration(const BrokerFacts& facts) {
  if (facts.config_file.empty()) return {};
  const About about{"config", facts.config_file};
  if (facts.may_not_read_config) return {about.unknown("it may not be read: run this as root")};
  if (facts.config) return {about.ok("is accepted")};
  return {about.error("cannot be used: " + facts.config.why_not,
                      "remora-decap --check " + facts.config_file)};
}

Findings check_services_are_known(const BrokerFacts& facts) {
  if (!facts.services.empty()) return {};
  return {About{"service", "which service this broker serves"}.unknown(
      "name it with --service ADDRESS:PORT")};
}

Findings check_broker_interface(const BrokerFacts& facts) {
  if (!facts.host.interfaces)
    return {About{"interface", "all"}.unknown(facts.host.interfaces.why_not)};
  if (facts.interface_name.empty()) {
    return {About{"interface", "where the load balancer's packets arrive"}.unknown(
        "no default route shows it: add --interface NAME")};
  }
  return {judge_interface(facts.interface_name, facts.interface ? &*facts.interface : nullptr)};
}

Findings check_outer_header(const BrokerFacts& facts) {
  if (!facts.interface) return {};
  if (!facts.xdp)
    return {About{"outer_header", "XDP on " + facts.interface_name}.unknown(facts.xdp.why_not)};
  if (has_decap(facts)) return {judge_decap(facts)};
  if (has_vips(facts)) {
    return {About{"outer_header", "remora-decap on " + facts.interface_name}.error(
        "is not there: packets for VIPs are lost", attach_command(facts))};
  }
  Findings found;
  std::optional<Address> before;  // the services are sorted
  for (const ServiceAt& service : facts.services) {
    if (before != service.address) found.push_back(judge_devices(facts, service.address));
    before = service.address;
  }
  return found;
}

// Fragments of outer packets bypass the XDP program, and nothing decapsulates the packets that the
// kernel reassembles from them.
Findings check_fragments(const BrokerFacts& facts) {
  if (!has_decap(facts)) return {};
  const About about{"fragments", "IPv4 fragments"};
  const std::uint64_t fragments = kernel_count(facts.host, "Ip.ReasmReqds");
  if (fragments == 0) return {about.ok("have not arrived since boot")};
  return {about.warning(
      fmt::format("have arrived, {} since boot. Those of outer packets are lost, because "
                  "remora-decap cannot reassemble them: the load balancer's link has a larger MTU "
                  "than one on the way to this host",
                  fragments))};
}

Findings check_broker_mtu(const BrokerFacts& facts) {
  if (!facts.interface) return {};
  const bool has_ipv4 =
      facts.host.addresses &&
      std::ranges::any_of(*facts.host.addresses, [&](const InterfaceAddress& own) {
        return own.interface_index == facts.interface->index && own.address.is_ipv4();
      });
  const std::uint32_t mtu = facts.interface->mtu;
  Findings found;
  std::optional<Address> before;
  for (const ServiceAt& service : facts.services) {
    if (before == service.address) continue;
    before = service.address;
    const std::uint32_t outer = service.address.is_ipv4() && has_ipv4 ? 20 : 40;
    const About about{"mtu", fmt::format("{}, MTU {}, with answers of {}:", facts.interface_name,
                                         mtu, remora::to_string(service.address))};
    if (mtu < kUsualMtu) {
      found.push_back(about.warning(
          fmt::format(
              "is below {}: if the load balancer's link has a larger MTU, its packets arrive "
              "in fragments",
              kUsualMtu),
          fmt::format("ip link set {} mtu {}", facts.interface_name, kUsualMtu)));
      continue;
    }
    if (mtu >= kUsualMtu + outer) {
      found.push_back(
          about.ok("there is room for the outer header, if all links from the load balancer to "
                   "here have it"));
      continue;
    }
    const std::uint32_t advmss = mtu - outer - tcp_headers(service.address);
    if (!facts.ways_back) {
      found.push_back(about.unknown(facts.ways_back.why_not));
      continue;
    }
    const auto route = facts.ways_back->find(service.address);
    if (route == facts.ways_back->end() || route->second.refused != 0) continue;
    if (route->second.advmss && *route->second.advmss <= advmss) {
      found.push_back(about.ok(
          fmt::format("advmss {} leaves room for the outer header", *route->second.advmss)));
      continue;
    }
    const auto& gateway = route->second.gateway;
    found.push_back(about.ok(
        fmt::format(
            "the load balancer tells clients by ICMP that {} bytes fit. This costs each one "
            "a packet, and fails if a firewall drops ICMP. To avoid both:",
            mtu - outer),
        fmt::format(
            "ip{} route change default{} dev {} advmss {}", service.address.is_ipv4() ? "" : " -6",
            gateway ? " via " + remora::to_string(*gateway) : "", facts.interface_name, advmss)));
  }
  return found;
}

}  // namespace remora::doctor
