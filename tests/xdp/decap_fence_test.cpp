// SPDX-License-Identifier: Apache-2.0
//
// The broker's side: which inner packets pass, and from which outer sources. Anybody can
// send IPIP to a broker.
#include "tests/xdp/decap_fixture.h"

namespace remora {
namespace {

constexpr IpAddress kBroker = ipv4("10.2.0.1"), kBroker6 = ipv6("fd00:2::1");
constexpr std::uint8_t kUnreachable4 = 3, kEcho4 = 8, kUnreachable6 = 1, kTooBig6 = 2, kEcho6 = 128;

class DecapFenceTest : public DecapTest {
 protected:
  static std::vector<bool> outer_families(const Bytes& inner) {
    return inner[ETH_HLEN] >> 4 == 6 ? std::vector{true} : std::vector{false, true};
  }

  void expect_refused(const Bytes& inner, const char* what) {
    for (const bool in_ipv6 : outer_families(inner)) {
      const std::uint64_t before = refused(DECAP_NO_SERVICE);

      EXPECT_EQ(decap(wrapped(inner, ETH_HLEN, in_ipv6)).verdict, XDP_DROP) << what;

      EXPECT_EQ(refused(DECAP_NO_SERVICE), before + 1) << what;
    }
  }

  void expect_passed(const Bytes& inner, const char* what) {
    for (const bool in_ipv6 : outer_families(inner)) {
      const RunResult out = decap(wrapped(inner, ETH_HLEN, in_ipv6));

      EXPECT_EQ(out.verdict, XDP_PASS) << what;
      EXPECT_EQ(out.frame, inner) << what;
    }
    EXPECT_EQ(refused(DECAP_NO_SERVICE), 0u) << what;
  }
};

Bytes tcp(Peer to) {
  return data(bytes_of("x")).from(to.address.is_ipv6() ? kClient6 : kClient).to(to).frame();
}

// An ICMP error of a router to `to` that quotes a packet's first `quoted` bytes.
Bytes icmp_error(Peer to, std::uint8_t type, const Bytes& about, std::size_t quoted = 48) {
  Bytes message{type, 4, 0, 0, 0, 0, 5, 0x78};
  const Bytes packet = Packet(about).ip_packet();
  message.insert(message.end(), packet.begin(),
                 packet.begin() + static_cast<std::ptrdiff_t>(std::min(quoted, packet.size())));
  return to.address.is_ipv6() ? ipv6_frame(kClient6, to, IPPROTO_ICMPV6, message)
                              : ipv4_frame(kClient, to, IPPROTO_ICMP, message);
}

// An answer of the broker, sent from the service address.
Bytes answer(Peer service) {
  return data(bytes_of("an answer"))
      .from(service)
      .to(service.address.is_ipv6() ? kClient6 : kClient)
      .frame();
}

TEST_F(DecapFenceTest, TcpToAServicePasses) {
  expect_passed(tcp(kService), "IPv4");
  expect_passed(tcp(kService6), "IPv6");
  expect_passed(data(Bytes(1400, 7)).from(kClient).to(kService).frame(), "a full segment");
}

TEST_F(DecapFenceTest, ATunnelIntoTheBrokerIsClosed) {
  expect_refused(ipv4_frame(kClient, {kBroker, 53}, IPPROTO_UDP, Bytes(30, 7)), "UDP to the host");
  expect_refused(tcp({kBroker, 22}), "ssh");
  expect_refused(tcp({kBroker, kService.port}), "the service's port at the host's own address");
  expect_refused(tcp({ipv4("127.0.0.1"), 1883}), "loopback");
  expect_refused(tcp({kService.address, 22}), "another port of the service");
  expect_refused(tcp(kVip), "a VIP that nobody named");
  expect_refused(ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(30, 7)), "UDP to the service");
  expect_refused(ipv4_frame(kClient, kService, IPPROTO_IPIP, tcp(kService)), "a tunnel inside");
  expect_refused(tcp({kBroker6, 22}), "ssh over IPv6");
  expect_refused(tcp({kService6.address, 22}), "another port over IPv6");
  expect_refused(ipv6_frame(kClient6, kService6, IPPROTO_UDP, Bytes(30, 7)), "UDP over IPv6");
}

// Remora sends no such packets to a broker, and their ports are hidden or uncertain.
TEST_F(DecapFenceTest, OptionsAndFragmentsDoNotPass) {
  const auto segment = [] { return data(bytes_of("x")).from(kClient).to(kService); };
  expect_refused(segment().ip_options(Bytes(4, 1)).frame(), "IPv4 options");
  expect_refused(segment().fragment(0x2000).frame(), "a first fragment");
  expect_refused(segment().fragment(0x0010).frame(), "a later fragment");
  expect_refused(ipv6_frame(kClient6, kService6, 44, Bytes(60, 6)), "an IPv6 fragment");
  expect_refused(ipv6_frame(kClient6, kService6, 0, Bytes(60, 6)), "hop-by-hop options");
}

TEST_F(DecapFenceTest, AVipLeadsToServicesAlone) {
  vip(kVip.address, 0, kService.address);

  EXPECT_EQ(decap(wrapped(tcp(kVip), ETH_HLEN, false)).verdict, XDP_PASS);
  expect_refused(tcp({kVip.address, 22}), "another port of the VIP");
}

// A router on the way to a client sends them to the service, and Remora forwards them to the
// connection's real.
TEST_F(DecapFenceTest, ErrorsAboutAnswersOfTheServicePass) {
  expect_passed(icmp_error(kService, kUnreachable4, answer(kService)), "fragmentation needed");
  expect_passed(icmp_error(kService, kUnreachable4, answer(kService), 28), "8 bytes of TCP");
  expect_passed(icmp_error(kService6, kTooBig6, answer(kService6)), "packet too big");
  expect_passed(icmp_error(kService6, kUnreachable6, answer(kService6)), "unreachable");
}

TEST_F(DecapFenceTest, OtherIcmpDoesNotPass) {
  const Peer ssh{kService.address, 22}, ssh6{kService6.address, 22}, broker{kBroker, 1883};
  expect_refused(icmp_error(kService, kEcho4, answer(kService)), "an echo request");
  expect_refused(icmp_error(broker, kUnreachable4, answer(kService)), "to the host itself");
  expect_refused(icmp_error(broker, kUnreachable4, answer(broker)), "about the host's packet");
  expect_refused(icmp_error(kService, kUnreachable4, answer(ssh)), "about another port");
  expect_refused(icmp_error(kService, kUnreachable4, answer(kService), 20), "no ports");
  expect_refused(
      icmp_error(kService, kUnreachable4, ipv4_frame(kService, kClient, IPPROTO_UDP, Bytes(30, 7))),
      "about UDP");
  expect_refused(icmp_error(kService6, kEcho6, answer(kService6)), "an echo request over IPv6");
  expect_refused(icmp_error(kService6, kTooBig6, answer(ssh6)), "another port over IPv6");
}

TEST_F(DecapFenceTest, WhatTheChainSendsPasses) {
  Client client = connect();
  const Bytes error = icmp_error(kService, kUnreachable4, answer(kService));
  const Bytes segment = client.ack().frame();

  EXPECT_EQ(decap(send_frame(segment).packet.bytes()).verdict, XDP_PASS);
  EXPECT_EQ(decap(send_frame(error).packet.bytes()).verdict, XDP_PASS);
  EXPECT_EQ(refused(DECAP_NO_SERVICE), 0u);
}

TEST_F(DecapFenceTest, OuterSourcesMustBeInANamedNetwork) {
  load(true);
  from(ipv4("172.16.0.0"), 16);
  from(ipv4("10.1.2.2"), 32);
  from(ipv6("100::"), 64);
  const auto verdict = [&](const IpAddress& source) {
    const bool is_ipv6 = source.is_ipv6();
    return decap(wrapped(tcp(kService), ETH_HLEN, is_ipv6, source, source)).verdict;
  };

  const IpAddress own[] = {ipv4("172.16.0.0"), ipv4("172.16.255.255"), ipv4("10.1.2.2"),
                           ipv6("100::"), ipv6("100::ffff:ffff:ffff:ffff")};
  for (const IpAddress& source : own) EXPECT_EQ(verdict(source), XDP_PASS) << source;
  EXPECT_EQ(refused(DECAP_FOREIGN_SOURCE), 0u);
  std::uint64_t foreign = 0;
  const IpAddress others[] = {ipv4("172.17.0.0"), ipv4("172.15.255.255"), ipv4("10.1.2.3"),
                              ipv4("10.1.1.7"),   ipv6("100:0:0:1::"),    ipv6("2001:db8::1")};
  for (const IpAddress& source : others) {
    EXPECT_EQ(verdict(source), XDP_DROP) << source;
    EXPECT_EQ(refused(DECAP_FOREIGN_SOURCE), ++foreign) << source;
  }
  EXPECT_EQ(refused(DECAP_NO_SERVICE), 0u);
}

TEST_F(DecapFenceTest, WithoutNetworksAnySourceMayCome) {
  EXPECT_EQ(decap(wrapped(tcp(kService), ETH_HLEN, false, ipv4("203.0.113.9"))).verdict, XDP_PASS);
}

// The fence applies to tunnels only; it is no firewall for the host's other traffic.
TEST_F(DecapFenceTest, AFenceConcernsTunnelsAlone) {
  load(true);
  for (const Bytes& frame : {tcp({kBroker, 22}), tcp(kService6),
                             ipv4_frame(kClient, {kBroker, 0}, IPPROTO_UDP, Bytes(30, 7))}) {
    const RunResult out = decap(frame);
    EXPECT_EQ(out.verdict, XDP_PASS);
    EXPECT_EQ(out.frame, frame);
  }
}

}  // namespace
}  // namespace remora
