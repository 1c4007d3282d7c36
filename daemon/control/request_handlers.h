// SPDX-License-Identifier: Apache-2.0
//
// What the daemon does with each request of the control socket.
#pragma once

#include <functional>

#include "daemon/control/dispatcher.h"
#include "daemon/control/reals_admin.h"
#include "daemon/control/status.h"

namespace remora {

// `sources` is called for each request that shows something; `admin` must outlive the handlers.
Dispatcher::Handlers request_handlers(std::function<StatusSources()> sources, RealsAdmin& admin);

}  // namespace remora
