// SPDX-License-Identifier: Apache-2.0
//
// The header of the PROXY protocol, version 2, which tells a broker whose connection it gets.
//
// Pure. https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, §2.2.
#pragma once

#include "daemon/base/endpoint.h"
#include "daemon/mqtt/packet.h"

namespace remora::router {

// Both must be of one family.
mqtt::Bytes proxy_header(const Endpoint& client, const Endpoint& service);

}  // namespace remora::router
