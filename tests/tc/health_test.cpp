// SPDX-License-Identifier: Apache-2.0
//
// Health checks on their way out and back: the daemon's own connection as a broker sees it, and
// the broker's answers as that connection sees them.
#include <linux/pkt_cls.h>

#include <cstring>
#include <ostream>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

constexpr IpAddress kCheck = ipv4("198.18.0.7");
constexpr IpAddress kCheck6 = ipv6("fd72:656d:6f72:6100::7");

class CheckTest : public SteerTest {
 protected:
  void check(const IpAddress& at, const IpAddress& service, const IpAddress& destination,
             const IpAddress& real) {
    chain_->map<address, struct check_way>("checks").put(
        abi_address(at), {abi_address(service), abi_address(destination), abi_address(real)});
  }

  TcResult leave(const Segment& segment) {
    return run_tc(chain_->health_out_fd(), segment.frame());
  }
  TcResult arrive(const Segment& segment) {
    return run_tc(chain_->health_in_fd(), segment.frame());
  }
};

// The client is the LB's own address, for each pair of families.
struct Way {
  const char* name;
  Peer lb, service;
  IpAddress check;
  bool over_ipv6;

  friend std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }
};

class EveryWayCheckTest : public CheckTest, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    CheckTest::SetUp();
    if (IsSkipped()) return;
    if (GetParam().over_ipv6) ipv6_reals();
  }

  const Peer lb = GetParam().lb, service = GetParam().service;
  const Peer at{GetParam().check, GetParam().service.port};
};

// Begins at the EtherType of the outer packet, after the Ethernet addresses.
Bytes behind_macs(const Bytes& frame) {
  return {frame.begin() + 2 * ETH_ALEN, frame.end()};
}

TEST_P(EveryWayCheckTest, WhatABrokerGetsIsWhatTheForwarderSends) {
  const Bytes connect = connect_packet(MqttVersion::k311);
  const auto sent = static_cast<std::uint32_t>(10 + connect.size());
  const Segment segments[] = {
      syn().from(lb).seq(9).options({2, 4, 5, 180}), ack().from(lb).seq(10).acknowledging(77),
      data(connect).from(lb).seq(10).acknowledging(77),
      data(Bytes(1000, 0xff)).from(lb).seq(sent).acknowledging(77).options(Bytes(12, 1)),
      fin().from(lb).seq(sent + 1000).acknowledging(77)};
  for (const settings& with : {settings_, [&] {
                                 settings own = settings_;
                                 own.outer_source4 = abi_address(ipv4("10.1.2.2"));
                                 own.outer_source6 = abi_address(ipv6("fd00:1:2::2"));
                                 return own;
                               }()}) {
    write(with);
    for (Segment segment : segments) {
      const Packet forwarded = send(segment.to(service)).packet;
      ASSERT_TRUE(forwarded.is_encapsulated());
      check(at.address, service.address, service.address, forwarded.destination());

      const TcResult out = leave(segment.to(at));

      EXPECT_EQ(out.verdict, TC_ACT_UNSPEC);
      const Packet packet(out.frame);
      EXPECT_EQ(behind_macs(out.frame), behind_macs(forwarded.bytes()));
      EXPECT_EQ(packet.destination_mac(), kRouterMac);
      EXPECT_EQ(packet.source_mac(), kGatewayMac) << "as the kernel wrote it";
      EXPECT_TRUE(packet.checksums_are_valid());
    }
  }
}

TEST_P(EveryWayCheckTest, TheAnswerComesFromTheCheckAddress) {
  check(at.address, service.address, service.address, ipv4("10.2.0.1"));
  if (GetParam().over_ipv6) check(at.address, service.address, service.address, ipv6("fd00:2::1"));
  leave(syn().from(lb).to(at));
  const Segment answers[] = {
      Segment(Segment::kSyn | Segment::kAck).seq(5).acknowledging(1).options({2, 4, 5, 180}),
      data({0x20, 2, 0, 0}).seq(6).acknowledging(9), data(Bytes(999, 7)).seq(6), rst().seq(6)};
  for (Segment answer : answers) {
    const TcResult out = arrive(answer.from(service).to(lb));

    EXPECT_EQ(out.verdict, TC_ACT_UNSPEC);
    EXPECT_EQ(out.frame, answer.from(at).to(lb).frame());
  }
}

// For brokers behind Katran, where the decapsulation restores the service address.
TEST_P(EveryWayCheckTest, AVipStandsInThePacketAndTheSumIsTheServices) {
  const IpAddress vip = service.address + 1;
  const IpAddress real = GetParam().over_ipv6 ? ipv6("fd00:2::1") : IpAddress(ipv4("10.2.0.1"));
  check(at.address, service.address, vip, real);

  const TcResult out = leave(data(bytes_of("hello")).from(lb).to(at).seq(9));

  const Packet packet(out.frame);
  ASSERT_TRUE(packet.is_encapsulated());
  EXPECT_EQ(packet.destination(), real);
  EXPECT_EQ(packet.inner().destination(), vip);
  const Packet for_service(data(bytes_of("hello")).from(lb).to(service).seq(9).frame());
  EXPECT_EQ(packet.inner().ip_body(), for_service.ip_body()) << "TCP, with its checksum";
  const Bytes inner = packet.inner().ip_packet();
  if (!packet.inner().is_ipv6()) {
    EXPECT_EQ(internet_sum(std::span(inner).first(20)), 0xffff) << "IPv4's own checksum";
  }
  EXPECT_EQ(arrive(data({1}).from(service).to(lb)).frame, data({1}).from(service).to(lb).frame())
      << "no SYN was seen";
}

INSTANTIATE_TEST_SUITE_P(Packets, EveryWayCheckTest,
                         testing::Values(Way{"ipv4", kClient, kService, kCheck, false},
                                         Way{"ipv4_in_ipv6", kClient, kService, kCheck, true},
                                         Way{"ipv6", kClient6, kService6, kCheck6, true}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_F(CheckTest, OtherTrafficIsNotTouched) {
  check(kCheck, kService.address, kService.address, ipv4("10.2.0.1"));
  check(kCheck6, kService6.address, kService6.address, ipv6("fd00:2::1"));
  leave(syn().from(kClient).to({kCheck, 1883}));
  const Peer ssh{ipv4("10.1.2.2"), 22};
  const Bytes frames[] = {
      data(bytes_of("ssh")).from(kClient).to(ssh).frame(),
      data(bytes_of("ssh")).from(kClient6).to({ipv6("2001:db8::9"), 22}).frame(),
      data(bytes_of("x")).from(kClient).to({kCheck + 1, 1883}).frame(),
      data(bytes_of("x")).from(kService).to({kClient.address, 40'001}).frame(),
      data(bytes_of("x")).from({kService.address, 8883}).to(kClient).frame(),
      data(bytes_of("x")).from({kService.address + 1, 1883}).to(kClient).frame(),
      data(bytes_of("x")).from(kService).to(kClient).ip_options({7, 3, 4}).frame(),
      ipv4_frame(kService, kClient, IPPROTO_UDP, Bytes(30, 7)),
      ipv6_frame(kService6, kClient6, IPPROTO_UDP, Bytes(30, 7)),
      Bytes(60, 0xff),
  };
  for (const Bytes& frame : frames) {
    for (const int program : {chain_->health_out_fd(), chain_->health_in_fd()}) {
      const TcResult out = run_tc(program, frame);
      EXPECT_EQ(out.verdict, TC_ACT_UNSPEC);
      EXPECT_EQ(out.frame, frame);
    }
  }
}

TEST_F(CheckTest, TheNewestSynTakesThePort) {
  check(kCheck, kService.address, kService.address, ipv4("10.2.0.1"));
  check(kCheck + 1, kService.address, kService.address, ipv4("10.2.0.2"));
  const auto answered_as = [&] {
    return Packet(arrive(data({1}).from(kService).to(kClient)).frame).source();
  };
  leave(syn().from(kClient).to({kCheck, 1883}));
  EXPECT_EQ(answered_as(), kCheck);

  leave(data({1}).from(kClient).to({kCheck + 1, 1883}));
  EXPECT_EQ(answered_as(), kCheck) << "only a SYN";
  leave(syn().from(kClient).to({kCheck + 1, 1883}));
  EXPECT_EQ(answered_as(), kCheck + 1);
}

TEST_F(CheckTest, NothingLeavesWhileTheGatewayIsUnknown) {
  check(kCheck, kService.address, kService.address, ipv4("10.2.0.1"));
  chain_->map<std::uint32_t, gateway>("ctl_array").put(0, {});

  EXPECT_EQ(leave(syn().from(kClient).to({kCheck, 1883})).verdict, TC_ACT_SHOT);
  EXPECT_EQ(counter(COUNT_NO_GATEWAY), 1u);
}

TEST_F(CheckTest, WhatIsNoTcpForACheckAddressGoesNowhere) {
  check(kCheck, kService.address, kService.address, ipv4("10.2.0.1"));
  const TcResult out =
      run_tc(chain_->health_out_fd(), ipv4_frame(kClient, {kCheck, 0}, IPPROTO_UDP, Bytes(30, 7)));
  EXPECT_EQ(out.verdict, TC_ACT_SHOT);
  EXPECT_EQ(counter(COUNT_TRUNCATED), 1u);
}

TEST_F(CheckTest, IPv6DoesNotGoIntoIPv4) {
  check(kCheck6, kService6.address, kService6.address, ipv4("10.2.0.1"));
  EXPECT_EQ(leave(syn().from(kClient6).to({kCheck6, 1883})).verdict, TC_ACT_SHOT);
}

}  // namespace
}  // namespace remora
