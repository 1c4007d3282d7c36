// SPDX-License-Identifier: Apache-2.0
//
// Sends packets to reals with the same outer header as the forwarder.
#pragma once

#include <optional>

#include "daemon/base/raw_sender.h"
#include "daemon/config/config.h"
#include "daemon/forwarders/forwarder.h"

namespace remora {

class TunnelSender {
 public:
  // Sets the source of outer headers.
  void use(const Lb& lb);

  // Returns false, with errno set, if the kernel refuses it. `flow` decides the source of the outer
  // header unless the configuration names one.
  bool send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) const;

 private:
  RawSender sender_;
  std::optional<Address> source4_;
  std::optional<Address> source6_;
};

}  // namespace remora
