// SPDX-License-Identifier: Apache-2.0
//
// The operator's own Katran as the forwarder: this process loads an object file and fills it with
// the VIPs, rings and reals of the configuration.
#pragma once

#include <filesystem>

#include "daemon/forwarders/forwarder.h"
#include "daemon/forwarders/katran_program.h"
#include "daemon/forwarders/katran_purge.h"
#include "daemon/forwarders/tunnel_sender.h"

namespace remora {

class KatranObject : public Forwarder {
 public:
  // Loads the object at `path` with maps of `programs`, and pins its own maps next to theirs.
  // Throws std::runtime_error that says what is wrong with the object. The pins are then as before,
  // as they are if this is destroyed without settle().
  KatranObject(const std::filesystem::path& path, const Programs& programs);

  NamedProgram program() const override { return {"katran", katran_.program_fd()}; }
  std::optional<NamedProgram> slot_program() const override { return program(); }
  void settle(const std::filesystem::path& folder) override;
  void use(const Config& config, const GroupNumbers& numbers) override;
  std::optional<BrokerWay> way_to(const Address& vip,
                                  const std::optional<Address>& real) const override;
  bool send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) override;
  void forget(const Address& vip, std::uint32_t real) override { purge_.start(vip, real); }
  void step() override { purge_.step(); }
  void look() override;
  std::optional<vip_stats> traffic_of(std::uint32_t vip_num) const override;

 private:
  KatranProgram katran_;
  std::filesystem::path folder_;  // of the pins; empty: they are not settled yet
  KatranPurge purge_;
  const int stats_;
  TunnelSender sender_;
};

}  // namespace remora
