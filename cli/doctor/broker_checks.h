// SPDX-License-Identifier: Apache-2.0
//
// The checks of a broker host. Pure, and built like lb_checks.h.
#pragma once

#include <cstdint>
#include <string>

#include "cli/doctor/broker_facts.h"
#include "cli/doctor/finding.h"

namespace remora::doctor {

// The port of a service if it is not named (IANA: mqtt).
inline constexpr std::uint16_t kMqttPort = 1883;

// The remora-decap command that attaches the program as configuration and options say.
std::string attach_command(const BrokerFacts& facts);

// Runs all checks, in the order in which a packet meets their subjects.
Findings check_broker(const BrokerFacts& facts);

// The way of a packet up to the stack: broker_link_checks.cpp.
Findings check_broker_kernel(const BrokerFacts& facts);
Findings check_decap_configuration(const BrokerFacts& facts);
Findings check_services_are_known(const BrokerFacts& facts);
Findings check_broker_interface(const BrokerFacts& facts);
Findings check_outer_header(const BrokerFacts& facts);
Findings check_fragments(const BrokerFacts& facts);
Findings check_broker_mtu(const BrokerFacts& facts);

// Packets that pass from the tunnel into the host: broker_fence_checks.cpp.
Findings check_decap_services(const BrokerFacts& facts);
Findings check_sources(const BrokerFacts& facts);
Findings check_refused(const BrokerFacts& facts);
Findings check_device_fence(const BrokerFacts& facts);
Findings check_vips(const BrokerFacts& facts);

// The service on this host: broker_service_checks.cpp.
Findings check_service_is_local(const BrokerFacts& facts);
Findings check_arp(const BrokerFacts& facts);
Findings check_rp_filter(const BrokerFacts& facts);
Findings check_ipv6(const BrokerFacts& facts);
Findings check_listener(const BrokerFacts& facts);
Findings check_way_back(const BrokerFacts& facts);

}  // namespace remora::doctor
