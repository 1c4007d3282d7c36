// SPDX-License-Identifier: Apache-2.0
#include "daemon/forwarders/tunnel_sender.h"

namespace remora {

void TunnelSender::use(const Lb& lb) {
  source4_ = lb.outer_source4;
  source6_ = lb.outer_source6;
}

bool TunnelSender::send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) const {
  const Address& real = way.real.value();
  const Address source = (real.is_ipv4() ? source4_ : source6_).value_or(Address());
  const Bytes inner = way.vip ? readdressed(packet, *way.vip) : packet;
  // Uses the outer header of the connection's other packets.
  flow_key varying = flow;
  if (way.affinity == Affinity::kPerClient) varying.port = 0;
  return sender_.send(encapsulated(inner, varying, source, real), real);
}

}  // namespace remora
