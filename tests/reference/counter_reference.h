// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "daemon/protocol/counters.h"

namespace remora::reference {

// Counters as a Markdown table.
std::string counter_table(std::span<const CounterFacts> counters);

}  // namespace remora::reference
