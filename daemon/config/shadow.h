// SPDX-License-Identifier: Apache-2.0
//
// Shadow mode: all connections go to the default group, whatever is learned and judged. Pure.
//
// Predictions, flows and counters know the groups of the file. But each group has the reals of the
// default group, no connection is reset or dropped, and the router serves nobody.
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/problem.h"

namespace remora {

// Replaces the parts of a checked configuration that would move connections. Reports why it cannot.
void put_into_shadow(Config& config, Problems& problems);

}  // namespace remora
