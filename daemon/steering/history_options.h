// SPDX-License-Identifier: Apache-2.0
//
// What the history is told of the configuration.
#pragma once

#include <vector>

#include "daemon/config/config.h"
#include "store/history.h"

namespace remora {

HistoryOptions history_options(const Config& config);

// The names by which people know the services.
std::vector<ServiceName> service_names(const Config& config);

}  // namespace remora
