// SPDX-License-Identifier: Apache-2.0
//
// Forwarding: which real, which outer header, which link, and the result if one of them is missing;
// and decapsulation at the broker.
#include <map>
#include <set>

#include "bpf/flow_hash.h"
#include "daemon/base/address.h"
#include "daemon/ring/maglev.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class ForwardTest : public SteerTest {};

TEST_F(ForwardTest, ThePacketIsWrappedAsItIs) {
  const Segment segment =
      data(bytes_of("hello")).from(kClient).to(kService).seq(9).options(Bytes(12, 1));
  const Packet before(segment.frame());

  const Outcome out = send(segment);

  ASSERT_TRUE(out.forwarded());
  const iphdr outer = out.packet.ip();
  EXPECT_EQ(outer.version, 4);
  EXPECT_EQ(outer.ihl, 5);
  EXPECT_EQ(outer.protocol, IPPROTO_IPIP);
  EXPECT_EQ(outer.ttl, 64);
  EXPECT_EQ(outer.frag_off, 0);
  EXPECT_EQ(be16toh(outer.tot_len), be16toh(before.ip().tot_len) + 20);
  EXPECT_EQ(out.real(), ipv4("10.2.0.1"));
  EXPECT_EQ(out.packet.destination_mac(), kRouterMac);
  EXPECT_EQ(out.packet.source_mac(), kLbMac);
  EXPECT_TRUE(out.packet.checksums_are_valid());
  EXPECT_EQ(out.packet.ip_body(), Bytes(before.bytes().begin() + ETH_HLEN, before.bytes().end()))
      << "the inner packet is the client's, to the service";
}

Bytes from_hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t at = 0; at < text.size(); at += 3)
    bytes.push_back(
        static_cast<std::uint8_t>(std::stoul(std::string(text.substr(at, 2)), nullptr, 16)));
  return bytes;
}

// Whole frames, written by hand: nothing here builds or reads headers. kClient and kClient6 send
// "hello" to their service.
constexpr std::string_view kIpv4Packet =
    "45 00 00 2d 00 00 40 00 40 06 f2 fa 0a 01 01 07 0a 01 32 c8 "
    "9c 40 07 5b 00 00 00 09 00 00 00 00 50 18 fa f0 85 8f 00 00 68 65 6c 6c 6f";
constexpr std::string_view kIpv6Packet =
    "60 00 00 00 00 19 06 40 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 07 "
    "20 01 0d b8 00 50 00 00 00 00 00 00 00 00 02 00 "
    "9c 40 07 5b 00 00 00 09 00 00 00 00 50 18 fa f0 6f 96 00 00 68 65 6c 6c 6f";

// The same frames with TOS b9, which is a DSCP and "ECN capable"; IPv6 also with a flow label.
constexpr std::string_view kIpv4PacketOfClass =
    "45 b9 00 2d 00 00 40 00 40 06 f2 41 0a 01 01 07 0a 01 32 c8 "
    "9c 40 07 5b 00 00 00 09 00 00 00 00 50 18 fa f0 85 8f 00 00 68 65 6c 6c 6f";
constexpr std::string_view kIpv6PacketOfClass =
    "6b 91 23 45 00 19 06 40 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 07 "
    "20 01 0d b8 00 50 00 00 00 00 00 00 00 00 02 00 "
    "9c 40 07 5b 00 00 00 09 00 00 00 00 50 18 fa f0 6f 96 00 00 68 65 6c 6c 6f";

TEST_F(ForwardTest, GoldenPackets) {
  const std::string from_gateway = "02 00 00 00 00 02 02 00 00 00 00 01 ";
  const std::string to_gateway = "02 42 0a 01 00 01 02 00 00 00 00 02 ";
  const struct {
    bool ipv6_real;
    std::string_view type, packet;
    std::string_view outer_type, outer;
  } cases[] = {
      {false, "08 00 ", kIpv4Packet, "08 00 ",
       "45 00 00 41 00 00 00 00 40 04 83 0b ac 10 41 9b 0a 02 00 01 "},
      {true, "08 00 ", kIpv4Packet, "86 dd ",
       "60 00 00 00 00 2d 04 40 01 00 00 00 00 00 00 00 00 00 00 00 96 41 01 07 "
       "fd 00 00 02 00 00 00 00 00 00 00 00 00 00 00 01 "},
      {true, "86 dd ", kIpv6Packet, "86 dd ",
       "60 00 00 00 00 41 29 40 01 00 00 00 00 00 00 00 00 00 00 00 9c 40 00 07 "
       "fd 00 00 02 00 00 00 00 00 00 00 00 00 00 00 01 "},
      // As with Katran, the outer header has the class of the inner header.
      {false, "08 00 ", kIpv4PacketOfClass, "08 00 ",
       "45 b9 00 41 00 00 00 00 40 04 82 52 ac 10 41 9b 0a 02 00 01 "},
      {true, "08 00 ", kIpv4PacketOfClass, "86 dd ",
       "6b 90 00 00 00 2d 04 40 01 00 00 00 00 00 00 00 00 00 00 00 96 41 01 07 "
       "fd 00 00 02 00 00 00 00 00 00 00 00 00 00 00 01 "},
      {true, "86 dd ", kIpv6PacketOfClass, "86 dd ",
       "6b 90 00 00 00 41 29 40 01 00 00 00 00 00 00 00 00 00 00 00 9c 40 00 07 "
       "fd 00 00 02 00 00 00 00 00 00 00 00 00 00 00 01 "},
  };
  for (const auto& [ipv6_real, type, packet, outer_type, outer] : cases) {
    ipv6_real ? ipv6_reals() : ipv4_reals();
    const auto frame = [&](auto... parts) {
      return from_hex((std::string() + ... + std::string(parts)));
    };

    const Outcome out = send_frame(frame(from_gateway, type, packet));

    EXPECT_EQ(out.verdict, XDP_TX);
    EXPECT_EQ(out.packet.bytes(), frame(to_gateway, outer_type, outer, packet)) << outer;
  }
}

// Katran's outer source is in 172.16/16; the rest varies with the flow.
TEST_F(ForwardTest, TheOuterSourceVariesWithTheFlow) {
  const auto outer_source = [&](Peer client) {
    return send(Client(client, kService).syn()).packet.source();
  };

  EXPECT_EQ(outer_source({ipv4("10.1.1.7"), 0}), ipv4("172.16.1.7"));
  EXPECT_EQ(outer_source({ipv4("10.1.0.0"), 0x1234}), ipv4("172.16.52.18"))
      << "Katran takes the port's bytes in this order";
  EXPECT_NE(outer_source({ipv4("10.1.1.7"), 40'000}), outer_source({ipv4("10.1.1.7"), 40'001}));
  EXPECT_EQ(outer_source(kClient), outer_source(kClient));
}

// Katran's outer source is in 100::/64; the last word is that of the client, XORed with the port
// in network order.
IpAddress katrans_source6(const IpAddress& client, std::uint16_t port) {
  IpAddress::Raw raw{0x01};
  for (std::size_t i = 12; i < 16; i++) raw[i] = client.raw()[i];
  raw[12] ^= static_cast<std::uint8_t>(port >> 8);
  raw[13] ^= static_cast<std::uint8_t>(port);
  return IpAddress(raw);
}

std::uint32_t traffic_class(const Packet& packet) {
  return packet.is_ipv6() ? be32toh(packet.ipv6().version) >> 20 & 0xff : packet.ip().tos;
}

void expect_wrapped_in_ipv6(const Outcome& out, const Packet& before, Peer client) {
  ASSERT_TRUE(out.forwarded());
  ASSERT_TRUE(out.packet.is_ipv6());
  const Ipv6Header outer = out.packet.ipv6();
  EXPECT_EQ(be32toh(outer.version), 0x60000000 | traffic_class(before) << 20) << "no flow label";
  EXPECT_EQ(outer.hop_limit, 64);
  EXPECT_EQ(be16toh(outer.payload_length), before.ip_packet().size());
  EXPECT_EQ(out.packet.protocol(), before.is_ipv6() ? IPPROTO_IPV6 : IPPROTO_IPIP);
  EXPECT_EQ(out.packet.source(), katrans_source6(client.address, client.port));
  EXPECT_EQ(out.packet.destination(), ipv6("fd00:2::1"));
  EXPECT_EQ(out.packet.destination_mac(), kRouterMac);
  EXPECT_EQ(out.packet.source_mac(), kLbMac);
  EXPECT_EQ(out.packet.ip_body(), before.ip_packet());
  EXPECT_EQ(out.packet.tags(), before.tags());
  EXPECT_TRUE(out.packet.checksums_are_valid());
}

TEST_F(ForwardTest, AnIpv4PacketGoesToAnIpv6Real) {
  ipv6_reals();
  const Segment segment = data(bytes_of("hello")).from(kClient).to(kService).seq(9);
  expect_wrapped_in_ipv6(send(segment), Packet(segment.frame()), kClient);
}

TEST_F(ForwardTest, AnIpv6PacketGoesToAnIpv6Real) {
  ipv6_reals();
  const Segment segment = data(bytes_of("hello")).from(kClient6).to(kService6).seq(9);
  expect_wrapped_in_ipv6(send(segment), Packet(segment.frame()), kClient6);
}

// Katran does the same. A configuration with IPv4 reals for an IPv6 service is refused.
TEST_F(ForwardTest, AnIpv6PacketDoesNotGoToAnIpv4Real) {
  EXPECT_TRUE(send(Client(kClient6, kService6).syn()).dropped());
  EXPECT_EQ(counter(COUNT_NO_REAL), 1u);
}

TEST_F(ForwardTest, AnIpv6RealMayBeginWithZeros) {
  ipv6_reals();
  struct real real {};
  real.address[3] = htobe32(7);
  real.flags = REAL_IPV6;
  chain_->map<std::uint32_t, struct real>("reals").put(real_index(kDefault, 1), real);

  EXPECT_EQ(send(Client(kClient6, kService6).syn()).packet.destination(), ipv6("::7"));
}

const std::vector<std::vector<VlanTag>> kTags = {
    {{100}}, {{20, ETH_P_8021AD}}, {{20, ETH_P_8021AD}, {100}}, {{0x2fff}, {1}}};

TEST_F(ForwardTest, VlanTagsStayInFront) {
  for (const std::vector<VlanTag>& tags : kTags) {
    const Segment segment = data(bytes_of("hello")).from(kClient).to(kService).seq(9).tagged(tags);

    const Outcome out = send(segment);

    ASSERT_TRUE(out.forwarded());
    EXPECT_EQ(out.packet.tags(), tags);
    EXPECT_EQ(out.packet.ip().protocol, IPPROTO_IPIP);
    EXPECT_EQ(out.packet.source(), ipv4("172.16.65.155")) << "10.1.1.7 xor 40000's bytes";
    EXPECT_EQ(out.real(), ipv4("10.2.0.1"));
    EXPECT_EQ(out.packet.ip().ttl, 64);
    EXPECT_EQ(out.packet.destination_mac(), kRouterMac);
    EXPECT_EQ(out.packet.source_mac(), kLbMac);
    EXPECT_EQ(out.packet.ip_body(), Packet(segment.frame()).ip_packet());
    EXPECT_TRUE(out.packet.checksums_are_valid());
  }
}

TEST_F(ForwardTest, VlanTagsStayInFrontOfAnIpv6Header) {
  ipv6_reals();
  for (const std::vector<VlanTag>& tags : kTags) {
    const Segment over4 = data(bytes_of("x")).from(kClient).to(kService).seq(9).tagged(tags);
    expect_wrapped_in_ipv6(send(over4), Packet(over4.frame()), kClient);
    const Segment over6 = data(bytes_of("x")).from(kClient6).to(kService6).seq(9).tagged(tags);
    expect_wrapped_in_ipv6(send(over6), Packet(over6.frame()), kClient6);
  }
}

// RFC 2003 §5.1: routers' errors then come back, so routers may refuse the outer packet.
TEST_F(ForwardTest, AnOuterSourceOfOurOwnIsUsedForAllFlows) {
  settings_.outer_source4 = abi_address(ipv4("10.1.9.9"));
  settings_.outer_source6 = abi_address(ipv6("2001:db8:9::9"));
  write(settings_);

  for (const std::uint16_t port : std::initializer_list<std::uint16_t>{40'000, 40'001}) {
    const Outcome out = send(Client({kClient.address, port}, kService).syn());
    EXPECT_EQ(out.packet.source(), ipv4("10.1.9.9"));
    EXPECT_EQ(out.packet.ip().frag_off, htobe16(0x4000));
    EXPECT_TRUE(out.packet.checksums_are_valid());
  }
  ipv6_reals();
  for (const Peer client : {Peer{kClient.address, 1}, kClient6}) {
    const Outcome out = send(Client(client, client.address.is_ipv6() ? kService6 : kService).syn());
    EXPECT_EQ(out.packet.source(), ipv6("2001:db8:9::9"));
    EXPECT_TRUE(out.packet.checksums_are_valid());
  }
}

// Katran's flow hash chooses the real; the tests of bpf/flow_hash.h check that hash.
TEST_F(ForwardTest, ANewFlowGetsTheRealOfItsHash) {
  group(kDefault, 13);
  for (std::uint16_t port = 40'000; port < 40'050; port++) {
    const address client = abi_address(kClient.address);
    const std::uint32_t ports = htobe16(port) | std::uint32_t{htobe16(1883)} << 16;
    EXPECT_EQ(send(Client({kClient.address, port}, kService).syn()).real() & 0xff,
              flow_hash(&client, ports) % RING_SIZE % 13 + 1);
  }
  ipv6_reals();
  group(kDefault, 13);
  for (std::uint16_t port = 40'000; port < 40'050; port++) {
    const address client = abi_address(kClient6.address);
    const std::uint32_t ports = htobe16(port) | std::uint32_t{htobe16(1883)} << 16;
    EXPECT_EQ(send(Client({kClient6.address, port}, kService6).syn()).real() & 0xff,
              flow_hash(&client, ports) % RING_SIZE % 13 + 1);
  }
}

// A client that reconnects finds its persistent session again.
TEST_F(ForwardTest, WithClientAffinityAllConnectionsOfAnAddressGoToOneReal) {
  for (const bool is_ipv6 : {false, true}) {
    if (is_ipv6) ipv6_reals();
    group(kDefault, 13);
    client_affinity(kDefault);
    const Peer at = is_ipv6 ? kService6 : kService;
    std::set<std::uint32_t> reals;
    for (std::uint32_t n = 0; n < 20; n++) {
      const IpAddress ip = (is_ipv6 ? kClient6 : kClient).address + n;
      const address client = abi_address(ip);
      const std::uint32_t ports = std::uint32_t{htobe16(1883)} << 16;
      const std::uint32_t expected = flow_hash(&client, ports) % RING_SIZE % 13 + 1;
      reals.insert(expected);

      std::set<IpAddress> sources;
      for (const std::uint16_t port : std::initializer_list<std::uint16_t>{1, 40'000, 65'535}) {
        Client connection({ip, port}, at);
        for (const Segment& segment :
             {connection.syn(), connection.ack(), connection.send(connect_packet()),
              Client({ip, 2}, at, 7).ack()}) {  // one without a flow
          const Outcome out = send(segment);
          ASSERT_TRUE(out.forwarded());
          EXPECT_EQ(out.real() & 0xff, expected);
          EXPECT_TRUE(out.packet.checksums_are_valid());
          sources.insert(out.packet.source());
        }
      }
      EXPECT_EQ(sources.size(), 1u) << "the outer source does not vary with the port, as Katran's";
    }
    EXPECT_GT(reals.size(), 5u);
  }
}

TEST_F(ForwardTest, EthernetPaddingIsNotCountedInOverIpv6) {
  ipv6_reals();
  const Outcome out = send(Client(kClient6, kService6).syn().padded_to(90));

  EXPECT_EQ(be16toh(out.packet.ipv6().payload_length), 60);
  EXPECT_TRUE(out.packet.checksums_are_valid());
}

TEST_F(ForwardTest, EthernetPaddingIsNotCountedIn) {
  const Outcome out = send(Client(kClient, kService).syn().padded_to(60));

  EXPECT_EQ(be16toh(out.packet.ip().tot_len), 60);
  EXPECT_TRUE(out.packet.checksums_are_valid());
}

TEST_F(ForwardTest, RealsGetFlowsByTheirWeights) {
  const std::vector<RingReal> reals = {{*Address::parse("10.2.0.1"), 1, 1},
                                       {*Address::parse("10.2.0.2"), 2, 2},
                                       {*Address::parse("10.2.0.3"), 0, 3}};
  group(kDefault, 3);
  ring(kDefault, build_ring(reals, RingVariant::kMaglevV2));

  std::map<std::uint32_t, int> flows;
  constexpr int kFlows = 3000;
  for (int n = 0; n < kFlows; n++) {
    const auto port = static_cast<std::uint16_t>(20'000 + n);
    flows[send(Client({kClient.address + n % 250, port}, kService).syn()).real()]++;
  }

  EXPECT_EQ(flows.size(), 2u) << "none for the drained one";
  // 1000 expected, standard deviation 26.
  EXPECT_NEAR(flows[ipv4("10.2.0.1")], kFlows / 3, 130);
}

TEST_F(ForwardTest, VipStatisticsCountPacketsAndBytes) {
  predict(kClient, kTemperature);
  const Segment segment = Client(kClient, kService).syn();
  send(segment);
  send(segment);

  std::vector<vip_stats> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  const std::uint32_t vip = kTemperature;
  ASSERT_EQ(bpf_map_lookup_elem(chain_->map_fd("stats"), &vip, per_cpu.data()), 0);
  std::uint64_t packets = 0, bytes = 0;
  for (const vip_stats& cpu : per_cpu) {
    packets += cpu.packets;
    bytes += cpu.bytes;
  }
  EXPECT_EQ(packets, 2u);
  EXPECT_EQ(bytes, 2u * 40);
}

TEST_F(ForwardTest, WithoutAForwarderServicePacketsAreDropped) {
  chain_->empty_slot(SLOT_FORWARDER);

  EXPECT_TRUE(send(Client(kClient, kService).syn()).dropped());
  EXPECT_EQ(counter(COUNT_NO_FORWARDER), 1u);
}

TEST_F(ForwardTest, WithoutTheGatewaysMacServicePacketsAreDropped) {
  chain_->map<std::uint32_t, gateway>("ctl_array").put(0, {});

  EXPECT_TRUE(send(Client(kClient, kService).syn()).dropped());
  EXPECT_EQ(counter(COUNT_NO_GATEWAY), 1u);
}

TEST_F(ForwardTest, AGatewaysMacMayEndInZeros) {
  chain_->map<std::uint32_t, gateway>("ctl_array").put(0, {{0, 0, 0, 0, 0, 1}, {}});
  EXPECT_TRUE(send(Client(kClient, kService).syn()).forwarded());
  chain_->map<std::uint32_t, gateway>("ctl_array").put(0, {{2, 0, 0, 0, 0, 0}, {}});
  EXPECT_TRUE(send(Client(kClient, kService).syn()).forwarded());
}

TEST_F(ForwardTest, AGroupWithoutRealsDropsAndCounts) {
  group(kDefault, 0);

  EXPECT_TRUE(send(Client(kClient, kService).syn()).dropped());
  EXPECT_EQ(counter(COUNT_NO_REAL), 1u);
}

TEST_F(ForwardTest, ARealThatIsGoneDropsAndCounts) {
  const Client client(kClient, kService);
  ASSERT_TRUE(send(client.syn()).forwarded());
  chain_->map<std::uint32_t, struct real>("reals").put(real_index(kDefault, 1), {});

  EXPECT_TRUE(send(client.ack()).dropped());
  EXPECT_EQ(counter(COUNT_NO_REAL), 1u);
}

TEST_F(ForwardTest, ASynThatFoundNoRealIsForwardedOnceThereIsOne) {
  group(kDefault, 0);
  Client client(kClient, kService);
  ASSERT_TRUE(send(client.syn()).dropped());
  group(kDefault, 1);

  EXPECT_TRUE(send(client.syn()).forwarded());
  EXPECT_TRUE(send(client.send(connect_packet())).forwarded());
}

}  // namespace
}  // namespace remora
