// SPDX-License-Identifier: Apache-2.0
#include "daemon/forwarders/embedded.h"

#include <utility>

#include "daemon/kernel/maps.h"

namespace remora {

EmbeddedForwarder::EmbeddedForwarder(NamedProgram program, int stats)
    : program_(std::move(program)), stats_(stats) {}

void EmbeddedForwarder::use(const Config& config, const GroupNumbers& /*numbers*/) {
  sender_.use(config.lb);
}

std::optional<BrokerWay> EmbeddedForwarder::way_to(const Address& /*vip*/,
                                                   const std::optional<Address>& real) const {
  if (!real) return std::nullopt;
  return BrokerWay{.real = real, .vip = std::nullopt};
}

bool EmbeddedForwarder::send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) {
  return sender_.send(packet, flow, way);
}

std::optional<vip_stats> EmbeddedForwarder::traffic_of(std::uint32_t vip_num) const {
  return read_vip_stats(stats_, vip_num);
}

}  // namespace remora
