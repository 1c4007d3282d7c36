// SPDX-License-Identifier: Apache-2.0
//
// The checks of an LB host. Pure: facts in, findings out.
//
// A check is one function and one entry in the list of lb_checks.cpp. It reports nothing if its
// subject is missing, because another check reports that.
#pragma once

#include "cli/doctor/finding.h"
#include "cli/doctor/lb_facts.h"

namespace remora::doctor {

// Runs all checks, in the order in which a packet, and then an operator, meets their subjects.
Findings check_lb(const LbFacts& facts);

// The host: lb_host_checks.cpp.
Findings check_kernel(const LbFacts& facts);
Findings check_bpffs(const LbFacts& facts);
Findings check_interface(const LbFacts& facts);
Findings check_link_mtu(const LbFacts& facts);
Findings check_offloads(const LbFacts& facts);
Findings check_xdp_tx(const LbFacts& facts);
Findings check_gateway(const LbFacts& facts);
Findings check_forwarding(const LbFacts& facts);
Findings check_outer_source(const LbFacts& facts);
Findings check_service_addresses(const LbFacts& facts);
Findings check_routes_to_reals(const LbFacts& facts);
Findings check_memory(const LbFacts& facts);

// The instance: lb_instance_checks.cpp.
Findings check_configuration(const LbFacts& facts);
Findings check_daemon(const LbFacts& facts);
Findings check_configuration_in_force(const LbFacts& facts);
Findings check_root_program(const LbFacts& facts);
Findings check_slots(const LbFacts& facts);
Findings check_probe(const LbFacts& facts);
Findings check_history(const LbFacts& facts);
Findings check_reals(const LbFacts& facts);
Findings check_tables(const LbFacts& facts);
Findings check_counters(const LbFacts& facts);
Findings check_connections(const LbFacts& facts);

// The router: lb_router_checks.cpp.
Findings check_router(const LbFacts& facts);

// An operator's Katran: lb_katran_checks.cpp.
Findings check_katran_object(const LbFacts& facts);
Findings check_katran_vips(const LbFacts& facts);

}  // namespace remora::doctor
