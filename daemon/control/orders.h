// SPDX-License-Identifier: Apache-2.0
//
// Orders of operators as rows of the history. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "daemon/control/dispatcher.h"
#include "daemon/control/reloader.h"
#include "store/observation.h"

namespace remora {

// Real, group and client have columns; other arguments, and how many lines of the configuration a
// reload has changed, are details.
Operation operation_of(const Order& order, std::int64_t at_ms);

// A reload that a signal ordered, which tells no user.
Operation operation_of(const ReloadResult& result, std::int64_t at_ms);

}  // namespace remora
