// SPDX-License-Identifier: Apache-2.0
#include "tests/xdp/strays.h"

namespace remora {
namespace {

std::uint16_t any_port(Chance& random) {
  return static_cast<std::uint16_t>(1024 + random() % 64'000);
}

Bytes any_bytes(Chance& random, std::size_t least, std::size_t most) {
  Bytes bytes(least + random() % (most - least + 1));
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

Segment any_segment(Chance& random, const BalancedService& service) {
  return data(any_bytes(random, 0, 300))
      .from(random.stranger(service.at.address))
      .to(service.at)
      .seq(random())
      .acknowledging(random());
}

Bytes datagram(Peer from, Peer to, std::uint8_t protocol, const Bytes& body) {
  return to.address.is_ipv6() ? ipv6_frame(from, to, protocol, body)
                              : ipv4_frame(from, to, protocol, body);
}

Bytes udp(Chance& random, Peer from, Peer to, std::size_t least) {
  Bytes body = any_bytes(random, least, 200);
  const std::uint16_t ports[] = {from.port, to.port};
  for (std::size_t i = 0; i < 4 && i < body.size(); i++)
    body[i] = static_cast<std::uint8_t>(ports[i / 2] >> (i % 2 ? 0 : 8));
  return datagram(from, to, IPPROTO_UDP, body);
}

Peer elsewhere(Chance& random, const BalancedService& service) {
  return {service.at.address + (1 + random() % 100), any_port(random)};
}

Bytes cut(Bytes frame, std::size_t from_ip, std::size_t most, Chance& random) {
  frame.resize(ETH_HLEN + from_ip + random() % (most - from_ip));
  return frame;
}

std::size_t ip_header(const BalancedService& service) {
  return service.at.address.is_ipv6() ? 40 : 20;
}

// An ICMP or ICMPv6 message of this type.
Bytes icmp(Chance& random, const BalancedService& service, std::uint8_t type, Bytes body) {
  const Peer from = random.stranger(service.at.address);
  Bytes message{type, 0, 0, 0, 0, 0, 0, 0};
  message.insert(message.end(), body.begin(), body.end());
  if (!service.at.address.is_ipv6())
    return ipv4_frame(from, service.at, IPPROTO_ICMP, icmp_with_checksum(message));
  return ipv6_frame(from, service.at, IPPROTO_ICMPV6,
                    icmp6_with_checksum(message, from.address, service.at.address));
}

bool is_ipv6(const BalancedService& service) {
  return service.at.address.is_ipv6();
}

// ---- the kinds ----

Stray udp_to_service(Chance& random, const BalancedService& service) {
  return {udp(random, random.stranger(service.at.address), service.at, 8), true};
}

Stray udp_elsewhere(Chance& random, const BalancedService& service) {
  return {udp(random, random.stranger(service.at.address), elsewhere(random, service), 8)};
}

Stray udp_cut_short(Chance& random, const BalancedService& service) {
  const Bytes whole = udp(random, random.stranger(service.at.address), service.at, 8);
  return {cut(whole, ip_header(service), ip_header(service) + 8, random), true};
}

Stray tcp_to_another_address(Chance& random, const BalancedService& service) {
  return {any_segment(random, service).to(elsewhere(random, service)).frame()};
}

Stray tcp_to_another_port(Chance& random, const BalancedService& service) {
  const auto port = static_cast<std::uint16_t>(20'000 + random() % 10'000);
  return {any_segment(random, service).to({service.at.address, port}).frame(), true};
}

Stray tcp_to_a_vip(Chance& random, const BalancedService& service) {
  const IpAddress vip = TwoBalancers::vip(service.default_group, service.at.address);
  return {any_segment(random, service).to({vip, service.at.port}).frame()};
}

Stray of_no_ip(Chance& random, const BalancedService&) {
  Bytes frame = ipv4_frame({1, 0}, {2, 0}, 0, any_bytes(random, 26, 80));
  constexpr std::uint16_t kTypes[] = {ETH_P_ARP, ETH_P_LLDP, ETH_P_MPLS_UC};
  const std::uint16_t type = kTypes[random() % 3];
  frame[12] = static_cast<std::uint8_t>(type >> 8);
  frame[13] = static_cast<std::uint8_t>(type);
  return {frame};
}

Stray of_another_protocol(Chance& random, const BalancedService& service) {
  constexpr std::uint8_t kProtocols[] = {2, 47, 50, 89, 132};  // IGMP, GRE, ESP, OSPF, SCTP
  return {datagram(random.stranger(service.at.address), service.at, kProtocols[random() % 5],
                   any_bytes(random, 8, 100)),
          true};
}

Stray ping_answer(Chance& random, const BalancedService& service) {
  return {icmp(random, service, is_ipv6(service) ? 129 : 0, any_bytes(random, 8, 64)), true};
}

Stray neighbour(Chance& random, const BalancedService& service) {
  return {icmp(random, service, is_ipv6(service) ? 135 : 13, any_bytes(random, 20, 20))};
}

Stray ping(Chance& random, const BalancedService& service) {
  return {icmp(random, service, is_ipv6(service) ? 128 : 8, any_bytes(random, 8, 64)), true};
}

// An error about a packet that a broker sent as the service; in Katran's version, as the VIP.
Stray unreachable(Chance& random, const BalancedService& service) {
  const IpAddress vip = TwoBalancers::vip(service.default_group, service.at.address);
  const Segment lost = any_segment(random, service)
                           .from({vip, service.at.port})
                           .to(random.stranger(service.at.address));
  return {icmp(random, service, is_ipv6(service) ? 1 : 3, Packet(lost.frame()).ip_packet()), true};
}

Stray options_to_service(Chance& random, const BalancedService& service) {
  if (is_ipv6(service))
    return {any_segment(random, service).extension(44, {0, 1}).frame(), true};  // a first fragment
  return {any_segment(random, service).ip_options(Bytes(4, 1)).frame(), true};
}

Stray first_fragment_to_service(Chance& random, const BalancedService& service) {
  if (is_ipv6(service)) return options_to_service(random, service);
  return {any_segment(random, service).fragment(0x2000).frame(), true};
}

Stray later_fragment_to_service(Chance& random, const BalancedService& service) {
  if (is_ipv6(service)) return {any_segment(random, service).extension(44, {0, 9}).frame(), true};
  return {any_segment(random, service).fragment(0x2010).frame(), true};
}

Stray odd_elsewhere(Chance& random, const BalancedService& service) {
  Segment segment = any_segment(random, service).to(elsewhere(random, service));
  if (is_ipv6(service)) return {segment.extension(44, {0, 1}).frame()};
  return {(random() % 2 ? segment.ip_options(Bytes(8, 1)) : segment.fragment(0x2000)).frame()};
}

Stray tagged_to_service(Chance& random, const BalancedService& service) {
  return {any_segment(random, service).tagged({{7}}).frame(), true};
}

Stray tagged_elsewhere(Chance& random, const BalancedService& service) {
  return {any_segment(random, service).to(elsewhere(random, service)).tagged({{7}}).frame()};
}

Stray extension_to_service(Chance& random, const BalancedService& service) {
  if (!is_ipv6(service)) return {};
  return {any_segment(random, service).extension(60, {}).frame(), true};
}

Stray tcp_cut_short(Chance& random, const BalancedService& service) {
  const std::size_t ip = ip_header(service);
  return {cut(any_segment(random, service).frame(), ip, ip + 20, random), true};
}

Stray ip_cut_short(Chance& random, const BalancedService& service) {
  return {cut(any_segment(random, service).frame(), 0, ip_header(service), random)};
}

Stray ip_length_beyond_the_frame(Chance& random, const BalancedService& service) {
  return {any_segment(random, service).claiming_ip_length(1200).frame(), true};
}

Stray syn_with_data(Chance& random, const BalancedService& service) {
  return {any_segment(random, service).payload(Bytes(50, 1)).flags(Segment::kSyn).frame(), true};
}

Stray syn_for_multipath(Chance& random, const BalancedService& service) {
  const Segment syn = any_segment(random, service).payload({}).flags(Segment::kSyn);
  return {Segment(syn).options({30, 4, 1, 0x81}).frame(), true};
}

}  // namespace

Peer Chance::stranger(const IpAddress& same_family) {
  const IpAddress network = same_family.is_ipv6() ? ipv6("2001:db8:77::") : ipv4("10.128.0.0");
  for (;;) {
    const Peer client{network + ((*this)() & 0x7fffff), any_port(*this)};
    if (strangers_.insert(client.address).second) return client;
  }
}

std::span<const StrayKind> stray_kinds() {
  using enum Fate;
  static constexpr StrayKind kKinds[] = {
      // Neither balancer is concerned.
      {"UDP to the service", udp_to_service, kPassed, kPassed},
      {"UDP elsewhere", udp_elsewhere, kPassed, kPassed},
      {"TCP to another address", tcp_to_another_address, kPassed, kPassed},
      {"TCP to another port", tcp_to_another_port, kPassed, kPassed},
      {"ARP and the like", of_no_ip, kPassed, kPassed},
      {"another IP protocol", of_another_protocol, kPassed, kPassed},
      {"the answer to a ping", ping_answer, kPassed, kPassed},
      {"neighbour solicitation, timestamp", neighbour, kPassed, kPassed},
      {"a VLAN tag, elsewhere", tagged_elsewhere, kPassed, kPassed},
      // Both refuse them.
      {"IPv4 options to the service", options_to_service, kDropped, kDropped},
      {"a first fragment to the service", first_fragment_to_service, kDropped, kDropped},
      // Katran answers all pings itself.
      {"a ping", ping, kPassed, kAnswered},
      // ICMP errors about a broker's packets go to the broker. These name the VIP as the sender,
      // which is not an address of ours.
      {"ICMP unreachable", unreachable, kPassed, kForwarded},
      // Katran drops all of these; ours does not touch other traffic.
      {"options or fragments elsewhere", odd_elsewhere, kPassed, kDropped},
      {"a later fragment to the service", later_fragment_to_service, kPassed, kDropped},
      {"UDP cut short", udp_cut_short, kPassed, kDropped},
      {"TCP cut short", tcp_cut_short, kPassed, kDropped},
      {"IP cut short", ip_cut_short, kPassed, kDropped},
      // Katran knows neither tags nor extension headers.
      {"a VLAN tag, to the service", tagged_to_service, kForwarded, kPassed},
      {"an IPv6 extension header, to the service", extension_to_service, kDropped, kPassed},
      // Katran believes the IP header; ours does not send bytes that are not there.
      {"an IP length beyond the frame", ip_length_beyond_the_frame, kDropped, kForwarded},
      // The group's VIP is not an address of ours.
      {"TCP to a group's VIP", tcp_to_a_vip, kPassed, kForwarded},
      // TCP Fast Open: ours removes the data, because it could not be judged.
      {"a SYN with data", syn_with_data, kForwarded, kForwarded},
      // Ours removes the option, so that both ends speak plain TCP.
      {"a SYN for Multipath TCP", syn_for_multipath, kForwarded, kForwarded},
  };
  return kKinds;
}

}  // namespace remora
