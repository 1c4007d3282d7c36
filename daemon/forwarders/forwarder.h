// SPDX-License-Identifier: Apache-2.0
//
// The program in slot 2 that wraps packets and sends them to a real, as the rest of the daemon
// sees it.
//
// Three classes implement it: the embedded forwarder (embedded.h), the operator's Katran loaded
// by this process (katran_object.h), and a Katran server in another process (katran_shared.h).
// All calls are made on the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bpf/abi.h"
#include "daemon/base/address.h"
#include "daemon/config/config.h"
#include "daemon/kernel/programs.h"
#include "daemon/packets/builder.h"

namespace remora {

// How packets of the daemon itself reach the broker of a connection.
struct BrokerWay {
  std::optional<Address> real;  // no value: only the forwarder knows it
  // The destination of the inner packet; no value: the service. With Katran, brokers expect the
  // VIP, and their decapsulation replaces it by the service.
  std::optional<Address> vip;
  Affinity affinity = Affinity::kPerConnection;
};

// How a forwarder handles connections to a VIP.
enum class VipState : std::uint8_t {
  kForwards,
  kUnknown,    // the forwarder does not know the VIP
  kNoReal,     // the forwarder has no real for it
  kEmptySlot,  // there is no forwarder
};

std::string_view to_string(VipState state);

class Forwarder {
 public:
  using GroupNumbers = std::map<std::string, std::uint16_t>;

  virtual ~Forwarder() = default;

  // The program that does its work, for the status.
  virtual NamedProgram program() const = 0;
  // The program to put into the slot; no value: another process fills the slot.
  virtual std::optional<NamedProgram> slot_program() const = 0;

  // Call this when the chain is attached: the forwarder's own pins then stay, and those that other
  // kinds of forwarder left in `folder` are removed.
  virtual void settle(const std::filesystem::path& folder);

  // Takes up a configuration. Called after the rings and before the groups are written, so that it
  // knows its VIPs when packets for them come. Throws std::system_error.
  virtual void use(const Config& config, const GroupNumbers& numbers) = 0;

  // Bytes of the outer header of a group's packets; 0: it depends on the real of each flow;
  // no value: not known yet.
  virtual std::optional<std::uint8_t> outer_length(const std::string& group) const;

  // The way of packets to a group's VIP and a flow's real, if the real is known; no value: packets
  // cannot get there.
  virtual std::optional<BrokerWay> way_to(const Address& vip,
                                          const std::optional<Address>& real) const = 0;

  // Sends an IP packet of a connection to its broker, wrapped like the client's packets. Returns
  // false, with errno set, if it cannot be sent.
  virtual bool send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) = 0;

  // Forgets the connections to a dead real, given by its index in `reals`. The VIP's ring must not
  // contain the real any more.
  virtual void forget(const Address& vip, std::uint32_t real);

  // The interface was created again, with another index. Throws std::system_error.
  virtual void move_to(unsigned interface_index);

  // Called often: does a small piece of the work that forget() ordered. Throws std::system_error.
  virtual void step();

  // Called every few seconds: finds out what another process has changed. Throws
  // std::system_error.
  virtual void look();

  // The traffic forwarded to a VIP, by its ring's number; no value: the forwarder counts elsewhere.
  virtual std::optional<vip_stats> traffic_of(std::uint32_t vip_num) const = 0;

  // The state of a configured group's VIP; no value if there is no need to ask.
  virtual std::optional<VipState> state_of(const std::string& group) const;
};

// Makes the forwarder that the configuration names, with the maps and programs of `programs`, which
// must outlive it. Throws std::runtime_error with the remedy; the pins are then as before.
std::unique_ptr<Forwarder> make_forwarder(const Config& config, const Programs& programs,
                                          unsigned interface_index);

}  // namespace remora
