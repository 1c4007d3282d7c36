// SPDX-License-Identifier: Apache-2.0
//
// The broker's side: how decap handles packets from forwarders.
#include <algorithm>

#include "tests/xdp/decap_fixture.h"

namespace remora {
namespace {

TEST_F(DecapTest, GivesBackWhatTheClientSent) {
  const Segment segment = data(bytes_of("hello")).from(kClient).to(kService).seq(9);
  const Packet wrapped = send(segment).packet;

  const RunResult out = decap(wrapped.bytes());

  EXPECT_EQ(out.verdict, XDP_PASS);
  const Packet inner(out.frame);
  EXPECT_EQ(inner.destination_mac(), wrapped.destination_mac());
  EXPECT_EQ(inner.source_mac(), wrapped.source_mac());
  EXPECT_TRUE(inner.checksums_are_valid());
  const Bytes sent = segment.frame();
  EXPECT_EQ(Bytes(out.frame.begin() + ETH_HLEN, out.frame.end()),
            Bytes(sent.begin() + ETH_HLEN, sent.end()));
}

TEST_F(DecapTest, GivesBackWhatTheClientSentWhateverItWasWrappedIn) {
  for (const std::vector<VlanTag>& tags :
       std::vector<std::vector<VlanTag>>{{}, {{100}}, {{20, ETH_P_8021AD}, {100}}}) {
    for (const bool ipv6_client : {false, true}) {
      for (const bool ipv6_real : {false, true}) {
        if (ipv6_client && !ipv6_real) continue;
        ipv6_real ? ipv6_reals() : ipv4_reals();
        const Segment segment = data(bytes_of("hello"))
                                    .from(ipv6_client ? kClient6 : kClient)
                                    .to(ipv6_client ? kService6 : kService)
                                    .seq(9)
                                    .tagged(tags);
        const Packet wrapped = send(segment).packet;
        ASSERT_EQ(wrapped.is_ipv6(), ipv6_real);

        const RunResult out = decap(wrapped.bytes());

        EXPECT_EQ(out.verdict, XDP_PASS);
        const Packet inner(out.frame);
        EXPECT_EQ(inner.destination_mac(), wrapped.destination_mac());
        EXPECT_EQ(inner.source_mac(), wrapped.source_mac());
        EXPECT_EQ(inner.tags(), tags);
        EXPECT_EQ(inner.ip_packet(), Packet(segment.frame()).ip_packet());
        EXPECT_EQ(out.frame.size(), segment.frame().size());
      }
    }
  }
}

// A segment as Katran forwards it: to the VIP, with the TCP checksum for the service.
Segment for_service(Peer client) {
  return data(bytes_of("hello"))
      .from(client)
      .to(client.address.is_ipv6() ? kService6 : kService)
      .seq(9);
}

Bytes with_ipv4_checksum(Bytes frame, std::size_t link) {
  frame[link + 10] = frame[link + 11] = 0;
  const auto sum = static_cast<std::uint16_t>(~internet_sum(std::span(frame).subspan(link, 20)));
  frame[link + 10] = static_cast<std::uint8_t>(sum >> 8);
  frame[link + 11] = static_cast<std::uint8_t>(sum);
  return frame;
}

Bytes readdressed(Bytes frame, std::size_t link, const IpAddress& vip) {
  const std::uint8_t* raw = vip.raw().data();
  if (vip.is_ipv6()) {
    std::copy(raw, raw + 16, frame.begin() + link + 24);
    return frame;
  }
  std::copy(raw + 12, raw + 16, frame.begin() + link + 16);
  return with_ipv4_checksum(std::move(frame), link);
}

// The TOS of an IPv4 packet, or the traffic class of an IPv6 one, in untagged Ethernet.
Bytes with_class(Bytes frame, std::uint8_t value) {
  if (frame[ETH_HLEN] >> 4 == 6) {
    frame[ETH_HLEN] = static_cast<std::uint8_t>(0x60 | value >> 4);
    frame[ETH_HLEN + 1] = static_cast<std::uint8_t>((frame[ETH_HLEN + 1] & 0x0f) | value << 4);
    return frame;
  }
  frame[ETH_HLEN + 1] = value;
  return with_ipv4_checksum(std::move(frame), ETH_HLEN);
}

// Congestion that a router marks in the outer header is copied to the inner header (RFC 6040
// §4.2, with the values of RFC 3168 §5).
TEST_F(DecapTest, CongestionOnTheWayIsToldInside) {
  constexpr std::uint8_t kNotCapable = 0, kCapable1 = 1, kCapable0 = 2, kExperienced = 3;
  constexpr std::uint8_t kClass = 0xb8;  // some DSCP, which does not change
  constexpr std::size_t link = ETH_HLEN;
  std::uint64_t dropped = 0;
  for (const bool ipv6_client : {false, true}) {
    for (const bool ipv6_real : {false, true}) {
      if (ipv6_client && !ipv6_real) continue;
      for (std::uint8_t inner = 0; inner <= 3; inner++) {
        for (std::uint8_t outer = 0; outer <= 3; outer++) {
          const Bytes sent =
              with_class(for_service(ipv6_client ? kClient6 : kClient).frame(), kClass | inner);
          const Bytes frame = with_class(wrapped(sent, link, ipv6_real), outer);

          const RunResult out = decap(frame);

          if (outer == kExperienced && inner == kNotCapable) {
            EXPECT_EQ(out.verdict, XDP_DROP) << "nobody would hear of it";
            EXPECT_EQ(refused(DECAP_CONGESTION), ++dropped);
            continue;
          }
          const bool is_told = outer == kExperienced && (inner == kCapable0 || inner == kCapable1);
          EXPECT_EQ(out.verdict, XDP_PASS);
          EXPECT_EQ(out.frame, is_told ? with_class(sent, kClass | kExperienced) : sent);
        }
      }
    }
  }
}

TEST_F(DecapTest, AGroupsVipBecomesTheServiceAgain) {
  vip(kVip.address, 0, kService.address);
  vip(kVip6.address, 0, kService6.address);
  for (const std::vector<VlanTag>& tags :
       std::vector<std::vector<VlanTag>>{{}, {{100}}, {{20, ETH_P_8021AD}, {100}}}) {
    const std::size_t link = ETH_HLEN + 4 * tags.size();
    for (const Peer client : {kClient, kClient6}) {
      for (const bool in_ipv6 : {false, true}) {
        if (client.address.is_ipv6() && !in_ipv6) continue;
        const IpAddress vip = client.address.is_ipv6() ? kVip6.address : kVip.address;
        const Bytes sent = for_service(client).tagged(tags).frame();

        const RunResult out = decap(wrapped(readdressed(sent, link, vip), link, in_ipv6));

        EXPECT_EQ(out.verdict, XDP_PASS);
        EXPECT_EQ(Packet(out.frame).ip_packet(), Packet(sent).ip_packet());
        EXPECT_EQ(Packet(out.frame).tags(), tags);
        EXPECT_TRUE(Packet(out.frame).checksums_are_valid());
      }
    }
  }
}

TEST_F(DecapTest, ThePortTellsServicesOfOneVipApart) {
  vip(kVip.address, 0, ipv4("10.1.50.220"));
  vip(kVip.address, 1883, kService.address);
  serve({ipv4("10.1.50.220"), 8883});
  const auto arrives_at = [&](std::uint16_t port) {
    const Bytes frame = data(bytes_of("x")).from(kClient).to({kVip.address, port}).frame();
    return Packet(decap(wrapped(frame, ETH_HLEN, false)).frame).destination();
  };

  EXPECT_EQ(arrives_at(1883), kService.address);
  EXPECT_EQ(arrives_at(8883), ipv4("10.1.50.220"));
}

// RFC 1624 §3: sums whose halves overflow, and those that are 0.
TEST_F(DecapTest, TheIpChecksumIsRightForAllAddresses) {
  for (std::uint32_t n = 0; n < 2000; n++) {
    const IpAddress group = n * 0x01a2b3c5 + 1, service = n * 0x9e3779b1 + 7;
    vip(group, 0, service);
    serve({service, 1883});
    const Bytes sent = data(bytes_of("x")).from(kClient).to({service, 1883}).frame();

    const RunResult out = decap(wrapped(readdressed(sent, ETH_HLEN, group), ETH_HLEN, false));

    ASSERT_TRUE(Packet(out.frame).checksums_are_valid()) << group << ' ' << service;
    ASSERT_EQ(Packet(out.frame).destination(), service);
    forget(group, {service, 1883});
  }
}

TEST_F(DecapTest, OtherTrafficPassesUntouched) {
  const Bytes plain = data(bytes_of("x")).from(kClient).to(kService).frame();
  Bytes fragment = send_frame(plain).packet.bytes();
  fragment[20] = 0x20;
  Bytes inner6 = send_frame(plain).packet.bytes();
  inner6[34] = 0x60;
  const Bytes frames[] = {
      plain,
      ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(30, 7)),
      ipv4_frame(kClient, kService, IPPROTO_IPIP, Bytes(10, 0x45)),  // no inner header
      fragment,
      inner6,
      Bytes(60, 0),
      data(bytes_of("x")).from(kClient6).to(kService6).tagged({{5}}).frame(),
      ipv6_frame(kClient6, kService6, IPPROTO_IPIP, Bytes(19, 0x45)),
      ipv6_frame(kClient6, kService6, IPPROTO_IPIP, Bytes(60, 0x60)),
      ipv6_frame(kClient6, kService6, IPPROTO_IPV6, Bytes(39, 0x60)),
      ipv6_frame(kClient6, kService6, IPPROTO_IPV6, Bytes(60, 0x45)),
      ipv6_frame(kClient6, kService6, IPPROTO_ICMPV6, Bytes(60, 0x60)),
  };
  for (const Bytes& frame : frames) {
    const RunResult out = decap(frame);
    EXPECT_EQ(out.verdict, XDP_PASS);
    EXPECT_EQ(out.frame, frame);
  }
}

}  // namespace
}  // namespace remora
