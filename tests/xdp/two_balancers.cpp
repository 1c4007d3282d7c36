// SPDX-License-Identifier: Apache-2.0
#include "tests/xdp/two_balancers.h"

#include <cstring>
#include <ostream>

#include "bpf/flow_hash.h"
#include "bpf/topic.h"
#include "daemon/mqtt/route_table.h"
#include "tests/support/topics.h"

namespace remora {
namespace {

constexpr gateway kGateway{{0x02, 0x42, 0x0a, 0x01, 0x00, 0x01}, {}};
constexpr std::uint32_t kNever = 1'000'000;  // a limit that no round reaches

std::uint16_t read16(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

// The offset of the IP header, and whether the header is complete.
std::size_t ip_at(const Bytes& frame) {
  std::size_t at = ETH_HLEN;
  while (at + 4 <= frame.size() &&
         (read16(frame, at - 2) == ETH_P_8021Q || read16(frame, at - 2) == ETH_P_8021AD))
    at += 4;
  return at;
}

void mend_checksum(Bytes& frame, std::size_t ip) {
  const std::size_t length = (frame[ip] & 0xfu) * 4;
  if (ip + length > frame.size()) return;
  frame[ip + 10] = frame[ip + 11] = 0;
  const auto sum = static_cast<std::uint16_t>(~internet_sum(std::span(frame).subspan(ip, length)));
  frame[ip + 10] = static_cast<std::uint8_t>(sum >> 8);
  frame[ip + 11] = static_cast<std::uint8_t>(sum);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, Fate fate) {
  static constexpr const char* kWords[] = {"passed", "marked", "dropped", "forwarded", "answered"};
  return out << kWords[static_cast<std::size_t>(fate)];
}

Fate fate_of(const RunResult& result, const Bytes& sent) {
  if (result.verdict == XDP_DROP) return Fate::kDropped;
  if (result.verdict == XDP_TX)
    return Packet(result.frame).is_encapsulated() ? Fate::kForwarded : Fate::kAnswered;
  if (result.verdict != XDP_PASS) throw std::runtime_error("a verdict that no balancer gives");
  if (!result.metadata.empty()) return Fate::kMarked;
  if (result.frame != sent) throw std::runtime_error("passed, but not as it was");
  return Fate::kPassed;
}

Bytes with_destination(Bytes frame, const IpAddress& destination) {
  const std::size_t ip = ip_at(frame);
  const IpAddress::Raw raw = destination.raw();
  if (read16(frame, ip - 2) == ETH_P_IPV6 && destination.is_ipv6()) {
    if (ip + 40 <= frame.size()) std::copy(raw.begin(), raw.end(), frame.begin() + ip + 24);
  } else if (read16(frame, ip - 2) == ETH_P_IP && ip + 20 <= frame.size()) {
    std::copy(raw.begin() + 12, raw.end(), frame.begin() + ip + 16);
    mend_checksum(frame, ip);
  }
  return frame;
}

Bytes with_tos_and_ttl(Bytes frame, std::uint8_t tos, std::uint8_t ttl) {
  const std::size_t ip = ip_at(frame);
  if (read16(frame, ip - 2) == ETH_P_IPV6) {
    frame[ip] = static_cast<std::uint8_t>((frame[ip] & 0xf0) | tos >> 4);
    frame[ip + 1] = static_cast<std::uint8_t>(tos << 4 | (frame[ip + 1] & 0x0f));
    frame[ip + 7] = ttl;
  } else {
    frame[ip + 1] = tos;
    frame[ip + 8] = ttl;
    mend_checksum(frame, ip);
  }
  return frame;
}

address abi_address(const IpAddress& ip) {
  address out;
  std::memcpy(&out, ip.raw().data(), sizeof(out));
  return out;
}

TwoBalancers::TwoBalancers(const std::string& katran_object)
    : katran_(katran_object, {.vips = kGroups + 3, .connections = 1 << 16}) {
  begin_anew();
}

void TwoBalancers::begin_anew() {
  chain_.reset();
  chain_ = std::make_unique<Chain>(ChainLimits{.flows = 1 << 14,
                                               .half_open = 1 << 15,
                                               .clients = 1 << 15,
                                               .rings = kGroups,
                                               .event_bytes = 1 << 20});
  katran_.forget_vips();
  katran_.forget_connections();
  katran_.put_gateway(kGateway);
  chain_->map<std::uint32_t, gateway>("ctl_array").put(0, kGateway);
  ports_.clear();
  rings_.assign(kGroups, std::vector<std::uint32_t>(RING_SIZE));

  settings in_force{};
  in_force.generation = 1;
  in_force.resets_per_second = in_force.resets_per_client = in_force.connections_per_client =
      kNever;
  in_force.link_mtu = kBalancedMtu;
  chain_->map<std::uint32_t, settings>("settings").put(0, in_force);

  const topic_keys keys = random_topic_keys(1);
  std::vector<Route> routes;
  for (std::uint16_t number = 0; number < kGroups; number++)
    routes.push_back({topic(number), std::to_string(number), 0});
  const RouteTable table(routes, keys);
  chain_->map<std::uint32_t, topic_keys>("topic_keys").put(0, keys);
  chain_->map<std::uint32_t, shape_set>("shape_sets").put(in_force.generation % 2, table.shapes());
  for (const RouteTable::KernelRoute& known : table.kernel_routes())
    chain_->map<std::uint64_t, route>("routes").put(
        route_key(known.hash, in_force.generation, known.shape),
        {in_force.generation, static_cast<__u16>(std::stoul(std::string(known.group))), 0});
}

void TwoBalancers::service(const BalancedService& service) {
  const service_key key{abi_address(service.at.address), htobe16(service.at.port), 0};
  chain_->map<service_key, struct service>("services")
      .put(key, {service.number, service.default_group, UNKNOWN_TO_DEFAULT, 0});
  ports_.push_back(service.at.port);
}

void TwoBalancers::group(std::uint16_t number, affinity affinity) {
  constexpr std::uint32_t kNoSourcePort = 1;  // Katran's flag
  struct group entry {};
  entry.vip = abi_address(vip(number, 0));
  entry.vip_num = number;
  entry.policy = POLICY_RESET;
  entry.in_use = 1;
  entry.affinity = static_cast<__u8>(affinity);
  affinities_[number] = affinity;
  const std::uint32_t flags = affinity == AFFINITY_CLIENT ? kNoSourcePort : 0;
  chain_->map<std::uint32_t, struct group>("groups").put(number, entry);
  for (const std::uint16_t port : ports_) {
    katran_.put_vip(abi_address(vip(number, 0)), port, katran_vip_num(number), flags);
    katran_.put_vip(abi_address(vip(number, ipv6("::1"))), port, katran_vip_num(number), flags);
  }
}

void TwoBalancers::reals(std::uint16_t group, const std::vector<RingReal>& reals,
                         RingVariant variant) {
  for (const RingReal& one : reals) {
    real entry{};
    if (one.address.is_ipv4()) {
      entry.address[0] = one.address.ipv4();
    } else {
      std::memcpy(entry.address, one.address.abi().word, sizeof(entry.address));
      entry.flags = REAL_IPV6;
    }
    chain_->map<std::uint32_t, real>("reals").put(one.index, entry);
    katran_.put_real(one.index, entry);
  }
  rings_[group] = build_ring(reals, variant);
  chain_->set_ring(group, rings_[group]);
  katran_.put_ring(katran_vip_num(group), rings_[group]);
}

void TwoBalancers::predict(const Peer& client, const BalancedService& service,
                           std::uint16_t group) {
  const client_key key{abi_address(client.address), service.number, 0};
  chain_->clients().put(key, {0, 1, group, PREDICTION_TOLD});
}

std::string TwoBalancers::topic(std::uint16_t group) {
  return "group/" + std::to_string(group);
}

IpAddress TwoBalancers::vip(std::uint16_t group, const IpAddress& same_family) {
  return (same_family.is_ipv6() ? ipv6("2001:db8:51::") : IpAddress(ipv4("10.1.51.0"))) + group;
}

std::uint32_t TwoBalancers::by_ring(std::uint16_t group, const Peer& client,
                                    std::uint16_t port) const {
  const address source = abi_address(client.address);
  const std::uint16_t own = affinity_of(group) == AFFINITY_CLIENT ? 0 : client.port;
  const std::uint32_t ports = htobe16(own) | std::uint32_t{htobe16(port)} << 16;
  return rings_[group][flow_hash(&source, ports) % RING_SIZE];
}

}  // namespace remora
