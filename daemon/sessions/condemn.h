// SPDX-License-Identifier: Apache-2.0
//
// Ends a connection that cannot go on.
#pragma once

#include "daemon/kernel/maps.h"
#include "daemon/sessions/ender.h"
#include "daemon/steering/steering.h"

namespace remora {

// The kernel resets the client at its next packet. The broker gets a RST in the client's name, so
// that it does not wait for the keepalive.
void condemn(const Maps& maps, const Steering& steering, Ender& ender, const flow_key& key,
             const flow& entry);

}  // namespace remora
