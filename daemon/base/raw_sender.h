// SPDX-License-Identifier: Apache-2.0
//
// Sends whole IP packets of both families through raw sockets, without waiting.
//
// The host's routes decide where they leave. The sockets receive nothing.
#pragma once

#include <cstdint>
#include <span>

#include "daemon/base/address.h"
#include "daemon/base/handles.h"

namespace remora {

class RawSender {
 public:
  // Throws std::system_error with the remedy if raw sockets are refused.
  RawSender();

  // `packet` begins with the IP header. Returns false, with errno set, if the kernel refuses it.
  bool send(std::span<const std::uint8_t> packet, const Address& to) const;

 private:
  Fd socket4_;
  Fd socket6_;  // invalid on a host without IPv6
};

}  // namespace remora
