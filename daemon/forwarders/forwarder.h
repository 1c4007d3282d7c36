// SPDX-License-Identifier: Apache-2.0
//
// The program in slot 2 that wraps packets and sends them to a real, as the rest of the
// daemon sees it.
//
// Three kinds implement it: the embedded forwarder (embedded.h), the operator's Katran that
// this process loads (katran_object.h), and a Katran server that runs beside it
// (katran_shared.h). All calls are made on the loop's thread.
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

// How the daemon's own packets get to the broker of a connection.
struct BrokerWay {
  std::optional<Address> real;  // nothing: only the forwarder knows it
  // The destination of the inner packet; nothing: the service. With Katran, brokers expect the
  // VIP, and their decapsulation turns it back into the service.
  std::optional<Address> vip;
  Affinity affinity = Affinity::kPerConnection;
};

// What a forwarder does with connections to a VIP.
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
  // The program to put into the slot; nothing: another process fills the slot.
  virtual std::optional<NamedProgram> slot_program() const = 0;

  // The chain is attached: its own pins stay from here on, and pins that other kinds of
  // forwarder have left in `folder` go.
  virtual void settle(const std::filesystem::path& folder);

  // The configuration from here on. Called after the rings are written and before the groups
  // are, so that it may know its VIPs when packets for them come. Throws std::system_error.
  virtual void use(const Config& config, const GroupNumbers& numbers) = 0;

  // Bytes of the outer header of a group's packets; 0: as the real of each flow needs;
  // nothing: not known yet.
  virtual std::optional<std::uint8_t> outer_length(const std::string& group) const;

  // The way of packets to a group's VIP and a flow's real, if that is known; nothing: no packet
  // can get there.
  virtual std::optional<BrokerWay> way_to(const Address& vip,
                                          const std::optional<Address>& real) const = 0;

  // Sends an IP packet of a connection to its broker, wrapped as the client's packets are.
  // False, with errno set, when it cannot be sent.
  virtual bool send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) = 0;

  // Forgets the connections to a real that is dead, by its index in `reals`. The VIP's ring
  // must no longer have it.
  virtual void forget(const Address& vip, std::uint32_t real);

  // The interface was made anew, under another index. Throws std::system_error.
  virtual void move_to(unsigned interface_index);

  // Called often: a small piece of the work that forget() has ordered. Throws
  // std::system_error.
  virtual void step();

  // Called every few seconds: finds out what another process has changed. Throws
  // std::system_error.
  virtual void look();

  // What it has forwarded to a VIP, by its ring's number; nothing: it counts on its own.
  virtual std::optional<vip_stats> traffic_of(std::uint32_t vip_num) const = 0;

  // For a group of the configuration; nothing where there is no need to ask.
  virtual std::optional<VipState> state_of(const std::string& group) const;
};

// The forwarder that the configuration names, with the maps and programs of `programs`, which
// must outlive it. Throws std::runtime_error with the remedy; pins are then as they were.
std::unique_ptr<Forwarder> make_forwarder(const Config& config, const Programs& programs,
                                          unsigned interface_index);

}  // namespace remora
