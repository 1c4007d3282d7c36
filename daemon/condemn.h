// SPDX-License-Identifier: Apache-2.0
//
// Ends a connection that cannot go on.
#pragma once

#include "daemon/mender.h"
#include "daemon/steering.h"
#include "daemon/tables.h"

namespace remora {

// The kernel resets the client at its next packet; the broker gets a RST in its name, so
// that it does not wait for its keepalive.
void condemn(const Tables& tables, const Steering& steering, Mender& mender, const flow_key& key,
             const flow& entry);

}  // namespace remora
