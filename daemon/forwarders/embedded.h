// SPDX-License-Identifier: Apache-2.0
//
// The forwarder of xdp/forward.bpf.c. The mqtt stage tells it the real of each packet.
#pragma once

#include "daemon/forwarders/forwarder.h"
#include "daemon/forwarders/tunnel_sender.h"

namespace remora {

class EmbeddedForwarder : public Forwarder {
 public:
  // `stats` is the descriptor of the map of that name. Throws std::system_error with the remedy if
  // raw sockets are refused.
  EmbeddedForwarder(NamedProgram program, int stats);

  NamedProgram program() const override { return program_; }
  std::optional<NamedProgram> slot_program() const override { return program_; }
  void use(const Config& config, const GroupNumbers& numbers) override;
  std::optional<BrokerWay> way_to(const Address& vip,
                                  const std::optional<Address>& real) const override;
  bool send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) override;
  std::optional<vip_stats> traffic_of(std::uint32_t vip_num) const override;

 private:
  const NamedProgram program_;
  const int stats_;
  TunnelSender sender_;
};

}  // namespace remora
