// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/broker_checks.h"

#include <iterator>

namespace remora::doctor {
namespace {

using Check = Findings (*)(const BrokerFacts&);

constexpr Check kChecks[] = {
    check_broker_kernel,
    check_decap_configuration,
    check_services_are_known,
    check_broker_interface,
    check_outer_header,
    check_decap_services,
    check_sources,
    check_refused,
    check_device_fence,
    check_vips,
    check_fragments,
    check_broker_mtu,
    check_service_is_local,
    check_arp,
    check_rp_filter,
    check_ipv6,
    check_listener,
    check_way_back,
};

}  // namespace

Findings check_broker(const BrokerFacts& facts) {
  Findings all;
  for (const Check check : kChecks) {
    Findings found = check(facts);
    all.insert(all.end(), std::make_move_iterator(found.begin()),
               std::make_move_iterator(found.end()));
  }
  return all;
}

}  // namespace remora::doctor
