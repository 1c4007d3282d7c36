// SPDX-License-Identifier: Apache-2.0
//
// One configuration in two balancers: the whole chain with the embedded forwarder, and upstream's
// Katran. Each has maps of its own, with the same contents from the daemon's code.
//
// Katran knows groups, not services: it gets each packet as a stage would hand it on, addressed to
// the VIP of the packet's group.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "daemon/ring/maglev.h"
#include "tests/support/chain.h"
#include "tests/support/packet.h"
#include "tests/support/upstream_katran.h"

namespace remora {

inline constexpr std::uint32_t kBalancedMtu = 1500;

// How a balancer handled a packet.
enum class Fate : std::uint8_t {
  kPassed,  // passed to the stack unchanged
  kMarked,  // passed to the stack with a mark for the probe
  kDropped,
  kForwarded,  // sent with an outer header
  kAnswered,   // sent back
};

std::ostream& operator<<(std::ostream& out, Fate fate);

// `sent`: the packet that the balancer got.
Fate fate_of(const RunResult& result, const Bytes& sent);

// The packet with another destination, or another TOS (IPv6: traffic class) and TTL (hop limit).
// Corrects the checksum of an IPv4 header, but not that of TCP.
Bytes with_destination(Bytes frame, const IpAddress& destination);
Bytes with_tos_and_ttl(Bytes frame, std::uint8_t tos, std::uint8_t ttl);

struct BalancedService {
  Peer at;
  std::uint16_t number;
  std::uint16_t default_group;
};

class TwoBalancers {
 public:
  static constexpr std::uint16_t kGroups = 6;

  // Throws std::system_error if one cannot be loaded.
  explicit TwoBalancers(const std::string& katran_object);

  // Removes all services, groups and connections from both.
  void begin_anew();

  void service(const BalancedService& service);
  // Gives the group a VIP of each family, for the ports of all services so far, and a route.
  void group(std::uint16_t number, affinity affinity);
  // Writes what the daemon would write for these reals and weights.
  void reals(std::uint16_t group, const std::vector<RingReal>& reals, RingVariant variant);
  void predict(const Peer& client, const BalancedService& service, std::uint16_t group);

  static std::string topic(std::uint16_t group);
  static IpAddress vip(std::uint16_t group, const IpAddress& same_family);
  // The slot of the group's ring for a connection between these ports.
  std::uint32_t by_ring(std::uint16_t group, const Peer& client, std::uint16_t port) const;

  RunResult run_ours(const Bytes& frame) { return run_xdp(chain_->root_fd(), frame); }
  RunResult run_katran(const Bytes& frame) { return run_xdp(katran_.program_fd(), frame); }
  Chain& chain() { return *chain_; }
  UpstreamKatran& katran() { return katran_; }

  affinity affinity_of(std::uint16_t group) const { return affinities_[group]; }

  // Katran's numbers differ from those of our rings.
  static std::uint32_t katran_vip_num(std::uint16_t group) { return group + 3u; }

 private:
  UpstreamKatran katran_;
  std::unique_ptr<Chain> chain_;
  std::vector<std::uint16_t> ports_;
  affinity affinities_[kGroups] = {};
  std::vector<std::vector<std::uint32_t>> rings_;
};

address abi_address(const IpAddress& ip);

}  // namespace remora
