// SPDX-License-Identifier: Apache-2.0
//
// The packet path on two CPUs at once. All tables are shared, but each CPU has flows of its own,
// as with a NIC that spreads flows over CPUs.
#pragma once

#include <string>
#include <vector>

#include "bench/report.h"

namespace remora::bench {

// Cases with `part` in their names. Nothing on a machine with one CPU.
std::vector<ScalingRow> measure_two_cpus(const std::string& part, unsigned rounds);

}  // namespace remora::bench
