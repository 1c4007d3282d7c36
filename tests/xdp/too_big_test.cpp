// SPDX-License-Identifier: Apache-2.0
//
// Packets that the stage answers itself: those too long for the outer header, and those of
// condemned connections; over IPv4 and IPv6, with and without VLAN tags.
#include <algorithm>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

const std::vector<std::vector<VlanTag>> kTags = {{}, {{100}}, {{20, ETH_P_8021AD}, {100}}};

class TooBigTest : public SteerTest {
 protected:
  void expect_too_big_over_ipv4(const Segment& segment, std::uint32_t mtu) {
    const Packet sent(segment.frame());

    const Outcome out = send_frame(sent.bytes());

    ASSERT_EQ(out.verdict, XDP_TX);
    const Packet& answer = out.packet;
    EXPECT_EQ(answer.bytes().size(), answer.link_size() + 20 + 8 + 28);
    EXPECT_EQ(answer.tags(), sent.tags());
    EXPECT_EQ(answer.destination_mac(), kGatewayMac);
    EXPECT_EQ(answer.source_mac(), kLbMac);
    EXPECT_EQ(answer.ip().protocol, IPPROTO_ICMP);
    EXPECT_EQ(answer.source(), kService.address);
    EXPECT_EQ(answer.destination(), kClient.address);
    EXPECT_EQ(be16toh(answer.ip().tot_len), 56);
    EXPECT_EQ(answer.icmp().type, ICMP_DEST_UNREACH);
    EXPECT_EQ(answer.icmp().code, ICMP_FRAG_NEEDED);
    EXPECT_EQ(be16toh(answer.icmp().un.frag.mtu), mtu);
    EXPECT_EQ(answer.icmp().un.frag.__unused, 0);
    EXPECT_TRUE(answer.checksums_are_valid());
    const Bytes body = answer.ip_body(), packet = sent.ip_packet();
    EXPECT_EQ(Bytes(body.begin() + 8, body.end()), Bytes(packet.begin(), packet.begin() + 28));
  }

  void expect_too_big_over_ipv6(const Segment& segment, std::uint32_t mtu) {
    const Packet sent(segment.frame());

    const Outcome out = send_frame(sent.bytes());

    ASSERT_EQ(out.verdict, XDP_TX);
    const Packet& answer = out.packet;
    EXPECT_EQ(answer.bytes().size(), answer.link_size() + 1280);
    EXPECT_EQ(answer.tags(), sent.tags());
    EXPECT_EQ(answer.destination_mac(), kGatewayMac);
    EXPECT_EQ(answer.source_mac(), kLbMac);
    EXPECT_EQ(answer.protocol(), IPPROTO_ICMPV6);
    EXPECT_EQ(answer.source(), kService6.address);
    EXPECT_EQ(answer.destination(), kClient6.address);
    EXPECT_EQ(be16toh(answer.ipv6().payload_length), 1240);
    EXPECT_EQ(answer.icmp().type, 2);
    EXPECT_EQ(answer.icmp().code, 0);
    EXPECT_EQ(be32toh(answer.icmp().un.gateway), mtu);
    EXPECT_TRUE(answer.checksums_are_valid());
    const Bytes body = answer.ip_body(), packet = sent.ip_packet();
    EXPECT_EQ(Bytes(body.begin() + 8, body.end()), Bytes(packet.begin(), packet.begin() + 1232));
  }
};

Segment of_ip_length(std::size_t length) {
  return data(Bytes(length - 40, 'x')).from(kClient).to(kService).seq(0x01020304);
}

Segment of_ipv6_length(std::size_t length) {
  Bytes payload(length - 60);
  for (std::size_t i = 0; i < payload.size(); i++)
    payload[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return data(payload).from(kClient6).to(kService6).seq(0x01020304);
}

TEST_F(TooBigTest, WhatFitsWithItsOuterHeaderIsForwarded) {
  const Outcome out = send(of_ip_length(kLinkMtu - 20));

  ASSERT_TRUE(out.forwarded());
  EXPECT_EQ(be16toh(out.packet.ip().tot_len), kLinkMtu);
  EXPECT_EQ(counter(COUNT_TOO_BIG), 0u);
}

// RFC 792, RFC 1191 §4: the service quotes the packet and names the MTU.
TEST_F(TooBigTest, WhatDoesNotFitIsAnsweredWithFragmentationNeeded) {
  for (const std::vector<VlanTag>& tags : kTags)
    for (const std::size_t length : std::initializer_list<std::size_t>{kLinkMtu - 19, kLinkMtu})
      expect_too_big_over_ipv4(of_ip_length(length).tagged(tags), kLinkMtu - 20);
  EXPECT_EQ(counter(COUNT_TOO_BIG), 6u);
}

TEST_F(TooBigTest, AnIpv6OuterHeaderTakes40Bytes) {
  ipv6_reals();

  EXPECT_TRUE(send(of_ip_length(kLinkMtu - 40)).forwarded());
  EXPECT_TRUE(send(of_ipv6_length(kLinkMtu - 40)).forwarded());
  EXPECT_EQ(counter(COUNT_TOO_BIG), 0u);
  expect_too_big_over_ipv4(of_ip_length(kLinkMtu - 39), kLinkMtu - 40);
}

// RFC 4443 §3.2, RFC 8201 §4: as much as fits into 1280 bytes is quoted.
TEST_F(TooBigTest, WhatDoesNotFitOverIpv6IsAnsweredWithPacketTooBig) {
  ipv6_reals();
  for (const std::vector<VlanTag>& tags : kTags)
    for (const std::size_t length : std::initializer_list<std::size_t>{kLinkMtu - 39, kLinkMtu})
      expect_too_big_over_ipv6(of_ipv6_length(length).tagged(tags), kLinkMtu - 40);
  EXPECT_EQ(counter(COUNT_TOO_BIG), 6u);
}

// If a group has reals of both families, the real of the flow decides.
TEST_F(TooBigTest, TheFlowsRealDecides) {
  Client over_ipv4 = connect();
  ipv6_reals();
  const std::uint32_t other = 2;
  group(kDefault, 2);
  ring(kDefault, std::vector<std::uint32_t>(RING_SIZE, other));
  struct real real {};
  real.address[0] = htobe32(ipv4("10.2.0.1"));
  chain_->map<std::uint32_t, struct real>("reals").put(real_index(kDefault, 1), real);
  Client over_ipv6 = connect({kClient.address, 41'000});

  const Bytes payload(kLinkMtu - 20 - 40, 'x');
  EXPECT_TRUE(send(over_ipv4.at(0, payload)).forwarded());
  EXPECT_EQ(counter(COUNT_TOO_BIG), 0u);
  EXPECT_EQ(send(over_ipv6.at(0, payload)).packet.protocol(), IPPROTO_ICMP);
  EXPECT_EQ(counter(COUNT_TOO_BIG), 1u);
}

TEST_F(TooBigTest, TheLimitIsTheLinks) {
  settings_.link_mtu = 1600;
  write(settings_);

  EXPECT_TRUE(send(of_ip_length(1500)).forwarded());
  EXPECT_EQ(counter(COUNT_TOO_BIG), 0u);
}

TEST_F(TooBigTest, WhatIsTooBigTeachesNothing) {
  Client client = connect();

  const Outcome out =
      send(client.at(client.sent(), publish_packet(kTemperatureTopic, std::string(1430, 'm'))));

  EXPECT_EQ(out.packet.ip().protocol, IPPROTO_ICMP);
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_FALSE(prediction_of(kClient));
}

// A packet that is too big does not establish a connection.
TEST_F(TooBigTest, WhatIsTooBigOpensNothing) {
  ipv6_reals();
  Client client(kClient6, kService6);
  send(client.syn());
  send(client.at(0, connect_packet() + Bytes(1430, 0)));

  EXPECT_FALSE(flow_of(client));
  EXPECT_TRUE(half_open_of(client));
}

// RFC 1122 §3.2.2, RFC 4443 §2.4; and a RST gets no answer.
TEST_F(TooBigTest, SomePacketsAreNotAnswered) {
  ipv6_reals();
  for (const IpAddress& source : {IpAddress(ipv4("224.0.0.1")), IpAddress(ipv4("255.255.255.255")),
                                  IpAddress(ipv4("127.0.0.1")), IpAddress(ipv4("0.0.0.0"))})
    EXPECT_TRUE(send(of_ip_length(kLinkMtu).from({source, 40'000})).dropped()) << source;
  for (const IpAddress& source : {ipv6("ff02::1"), ipv6("::"), ipv6("::1")})
    EXPECT_TRUE(send(of_ipv6_length(kLinkMtu).from({source, 40'000})).dropped()) << source;
  EXPECT_TRUE(send(of_ip_length(kLinkMtu).flags(Segment::kRst)).dropped());
  EXPECT_TRUE(send(of_ipv6_length(kLinkMtu).flags(Segment::kRst | Segment::kAck)).dropped());
  Bytes broadcast = of_ip_length(kLinkMtu).frame();
  std::fill_n(broadcast.begin(), 6, std::uint8_t{0xff});
  EXPECT_TRUE(send_frame(broadcast).dropped());
  EXPECT_EQ(counter(COUNT_TOO_BIG), 10u);
}

class RstTest : public SteerTest {
 protected:
  void expect_rst(Peer from, const std::vector<VlanTag>& tags) {
    group(kHumidity, 1);
    settings_.resets_per_client = 100;
    write(settings_);
    predict(from, kTemperature, kTemperatureTopic);
    Client client = connect(from);
    ASSERT_TRUE(publish(client, kHumidityTopic).is_marked());

    const Outcome out = send(client.send(publish_packet(kHumidityTopic))
                                 .acknowledging(0xfffffff0)
                                 .options(Bytes(12, 1))
                                 .tagged(tags));

    ASSERT_TRUE(out.is_rst());
    const Packet& rst = out.packet;
    const bool over_ipv6 = from.address.is_ipv6();
    EXPECT_EQ(rst.is_ipv6(), over_ipv6);
    EXPECT_EQ(rst.tags(), tags);
    EXPECT_EQ(rst.bytes().size(), rst.link_size() + (over_ipv6 ? 60u : 40u));
    EXPECT_EQ(rst.source(), over_ipv6 ? kService6.address : kService.address);
    EXPECT_EQ(rst.destination(), from.address);
    EXPECT_EQ(be16toh(rst.tcp().source), kService.port);
    EXPECT_EQ(be16toh(rst.tcp().dest), from.port);
    EXPECT_EQ(be32toh(rst.tcp().seq), 0xfffffff0);  // RFC 5961 §3.2
    EXPECT_FALSE(rst.tcp().ack);
    EXPECT_EQ(rst.destination_mac(), kGatewayMac);
    EXPECT_EQ(rst.source_mac(), kLbMac);
    EXPECT_TRUE(rst.checksums_are_valid());
  }
};

TEST_F(RstTest, ACondemnedConnectionGetsItsRstWhateverItsPacketsLookLike) {
  ipv6_reals();
  std::uint16_t port = 40'000;
  for (const std::vector<VlanTag>& tags : kTags) {
    expect_rst({kClient.address, ++port}, tags);
    expect_rst({kClient6.address, ++port}, tags);
  }
  EXPECT_EQ(counter(COUNT_CONDEMNED_RST), 6u);
}

}  // namespace
}  // namespace remora
