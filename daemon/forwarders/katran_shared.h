// SPDX-License-Identifier: Apache-2.0
//
// A Katran server in another process as the forwarder: it fills the slot and its own maps.
//
// This class does not open the server's maps. It runs packets through the program in the slot
// (forwarder_slot.h) to find out what it must know, and logs changes.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>

#include "daemon/forwarders/forwarder.h"
#include "daemon/forwarders/forwarder_slot.h"

namespace remora {

class KatranShared : public Forwarder {
 public:
  // `ask` is the program of xdp/ask.bpf.c. Throws std::system_error with the remedy if packet
  // sockets are refused.
  KatranShared(NamedProgram ask, unsigned interface_index);

  NamedProgram program() const override { return ask_; }
  std::optional<NamedProgram> slot_program() const override { return std::nullopt; }
  void use(const Config& config, const GroupNumbers& numbers) override;
  std::optional<std::uint8_t> outer_length(const std::string& group) const override;
  std::optional<BrokerWay> way_to(const Address& vip,
                                  const std::optional<Address>& real) const override;
  bool send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) override;
  void move_to(unsigned interface_index) override;
  void look() override;
  std::optional<vip_stats> traffic_of(std::uint32_t vip_num) const override;
  // The worst state of the VIP at the ports of all services.
  std::optional<VipState> state_of(const std::string& group) const override;

 private:
  void tell(const std::string& group, VipState state);

  const NamedProgram ask_;
  ForwarderSlot slot_;
  std::map<std::string, Address> vips_;                // by group
  std::set<std::uint16_t> ports_;                      // host order
  std::map<std::string, VipState> states_;             // by group
  std::map<std::string, std::uint8_t> outer_lengths_;  // by group, as far as they are known
  bool is_slot_empty_ = false;
};

}  // namespace remora
