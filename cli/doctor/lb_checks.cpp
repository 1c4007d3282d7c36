// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/lb_checks.h"

#include <iterator>

namespace remora::doctor {
namespace {

using Check = Findings (*)(const LbFacts&);

constexpr Check kChecks[] = {
    check_kernel,
    check_bpffs,
    check_configuration,
    check_daemon,
    check_configuration_in_force,
    check_interface,
    check_root_program,
    check_slots,
    check_katran_object,
    check_katran_vips,
    check_probe,
    check_offloads,
    check_xdp_tx,
    check_link_mtu,
    check_gateway,
    check_forwarding,
    check_outer_source,
    check_service_addresses,
    check_routes_to_reals,
    check_reals,
    check_router,
    check_tables,
    check_counters,
    check_connections,
    check_history,
    check_memory,
};

}  // namespace

Findings check_lb(const LbFacts& facts) {
  Findings all;
  for (const Check check : kChecks) {
    try {
      Findings found = check(facts);
      all.insert(all.end(), std::make_move_iterator(found.begin()),
                 std::make_move_iterator(found.end()));
    } catch (const nlohmann::json::exception& error) {
      all.push_back(About{"daemon", "the answer of remorad"}.unknown(
          std::string("it is of another version than this command: ") + error.what()));
    }
  }
  return all;
}

}  // namespace remora::doctor
