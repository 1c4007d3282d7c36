// SPDX-License-Identifier: Apache-2.0
//
// The parts of the configuration that the history needs.
#pragma once

#include <vector>

#include "daemon/config/config.h"
#include "store/history.h"

namespace remora {

// `ring_id` is that of the kernel's ring of events.
HistoryOptions history_options(const Config& config, std::uint32_t ring_id);

// The names by which people know the services.
std::vector<ServiceName> service_names(const Config& config);

}  // namespace remora
