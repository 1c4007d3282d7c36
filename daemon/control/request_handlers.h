// SPDX-License-Identifier: Apache-2.0
//
// The handlers of the control socket's requests.
#pragma once

#include <functional>

#include "daemon/control/dispatcher.h"
#include "daemon/control/reals_admin.h"
#include "daemon/control/reloader.h"
#include "daemon/control/status.h"

namespace remora {

// `sources` is called for each request that shows data; `admin` must outlive the handlers.
Dispatcher::Handlers request_handlers(const std::function<StatusSources()>& sources,
                                      RealsAdmin& admin, std::function<ReloadResult()> reload);

}  // namespace remora
