// SPDX-License-Identifier: Apache-2.0
//
// The numbers of groups, services and reals to which the kernel's tables refer.
#pragma once

#include <cstdint>
#include <set>

#include "daemon/kernel/maps.h"

namespace remora {

struct NumbersInUse {
  std::set<std::uint16_t> groups;
  std::set<std::uint16_t> services;
  std::set<std::uint32_t> reals;  // indexes into `reals`
};

// Reads the tables of flows, half-open connections and predictions, the services, and the rings
// of the groups in use. This takes about a second for a million flows. Throws std::system_error.
NumbersInUse numbers_in_use(const Maps& maps);

}  // namespace remora
