// SPDX-License-Identifier: Apache-2.0
//
// Sends packets to reals with the outer header that the forwarder gives them.
#pragma once

#include <optional>

#include "daemon/base/raw_sender.h"
#include "daemon/config/config.h"
#include "daemon/forwarders/forwarder.h"

namespace remora {

class TunnelSender {
 public:
  // The source of outer headers from here on.
  void use(const Lb& lb);

  // False, with errno set, when the kernel does not take it. `flow` decides the source of the
  // outer header where the configuration names none.
  bool send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) const;

 private:
  RawSender sender_;
  std::optional<Address> source4_;
  std::optional<Address> source6_;
};

}  // namespace remora
