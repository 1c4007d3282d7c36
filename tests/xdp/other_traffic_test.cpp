// SPDX-License-Identifier: Apache-2.0
//
// Packets that are not for a service pass unchanged through every part of the chain.

#include <iterator>
#include <random>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class OtherTrafficTest : public SteerTest {
 protected:
  void expect_untouched(const Bytes& frame, const char* what) {
    const std::uint64_t before = counter(COUNT_OTHER_TRAFFIC);

    const Outcome out = send_frame(frame);

    EXPECT_EQ(out.verdict, XDP_PASS) << what;
    EXPECT_EQ(out.packet.bytes(), frame) << what;
    EXPECT_TRUE(out.metadata.empty()) << what;
    EXPECT_EQ(counter(COUNT_OTHER_TRAFFIC), before + 1) << what;
  }
};

Segment segment_to(Peer to) {
  return data(publish_packet("t")).from(kClient).to(to).seq(9);
}

Segment segment_to6() {
  return data(publish_packet("t")).from(kClient6).to(kService6).seq(9);
}

Bytes with_ethertype(Bytes frame, std::uint8_t high, std::uint8_t low) {
  frame[12] = high;
  frame[13] = low;
  return frame;
}

TEST_F(OtherTrafficTest, PassesByteForByte) {
  const Bytes ours = segment_to(kService).frame();
  expect_untouched(ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(30, 7)), "UDP to the service");
  expect_untouched(ipv4_frame(kClient, kService, IPPROTO_ICMP, Bytes(30, 8)), "ICMP");
  expect_untouched(ipv4_frame(kClient, kService, IPPROTO_IPIP, Bytes(60, 0x45)), "IPIP");
  expect_untouched(with_ethertype(ours, 0x08, 0x06), "ARP");
  expect_untouched(with_ethertype(ours, 0x86, 0xdd), "IPv6");
  expect_untouched(with_ethertype(ours, 0x81, 0x00), "VLAN");
  expect_untouched(segment_to({kService.address, 22}).frame(), "another port");
  expect_untouched(segment_to({kService.address, 0x5b07}).frame(), "the port, bytes swapped");
  expect_untouched(segment_to({kService.address + 1, 1883}).frame(), "another address");
  expect_untouched(syn().from(kClient).to({kService.address, 8883}).frame(), "a SYN elsewhere");
  expect_untouched(data({}).from({kClient.address, 1883}).to({kService.address, 40'000}).frame(),
                   "the service's port as source");
}

// A body with an EtherType before it.
Bytes frame_of_type(std::uint8_t high, std::uint8_t low, const Bytes& body) {
  return with_ethertype(ipv4_frame(kClient, kService, 0, body), high, low);
}

TEST_F(OtherTrafficTest, PassesByteForByteOverIpv6) {
  const IpAddress all_nodes = ipv6("ff02::1");
  const auto icmp6 = [&](std::uint8_t type, Peer to) {
    Bytes message(32);
    message[0] = type;
    return ipv6_frame(kClient6, to, IPPROTO_ICMPV6,
                      icmp6_with_checksum(message, kClient6.address, to.address));
  };
  expect_untouched(icmp6(135, kService6), "neighbour solicitation for the service");
  expect_untouched(icmp6(136, kService6), "neighbour advertisement");
  expect_untouched(icmp6(134, {all_nodes, 0}), "router advertisement");
  expect_untouched(icmp6(128, kService6), "a ping of the service");
  expect_untouched(ipv6_frame(kClient6, kService6, IPPROTO_UDP, Bytes(30, 7)), "UDP to it");
  expect_untouched(ipv6_frame(kClient6, kService6, IPPROTO_IPIP, Bytes(60, 0x45)), "IPIP");
  expect_untouched(ipv6_frame(kClient6, kService6, IPPROTO_IPV6, Bytes(60, 0x60)), "IP6IP6");
  const auto to = [](Peer service) {
    return data(publish_packet("t")).from(kClient6).to(service).seq(9).frame();
  };
  expect_untouched(to({kService6.address, 22}), "another port");
  expect_untouched(to({kService6.address + 1, 1883}), "another address");
}

TEST_F(OtherTrafficTest, PassesByteForByteBehindTags) {
  for (const std::vector<VlanTag>& tags : std::vector<std::vector<VlanTag>>{
           {{100}}, {{20, ETH_P_8021AD}, {100}}, {{20, ETH_P_8021AD}, {100}, {7}}}) {
    const auto tagged = [&](const Bytes& frame) { return with_tags(frame, tags); };
    expect_untouched(tagged(frame_of_type(0x08, 0x06, Bytes(28, 1))), "ARP");
    expect_untouched(tagged(ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(30, 7))), "UDP");
    expect_untouched(tagged(ipv4_frame(kClient, kService, IPPROTO_ICMP, Bytes(30, 8))), "ICMP");
    expect_untouched(tagged(segment_to({kService.address, 22}).frame()), "another port");
    expect_untouched(tagged(ipv6_frame(kClient6, kService6, IPPROTO_ICMPV6, Bytes(32, 135))),
                     "ICMPv6");
  }
  expect_untouched(segment_to(kService).tagged({{20, ETH_P_8021AD}, {100}, {7}}).frame(),
                   "a third tag");
}

TEST_F(OtherTrafficTest, ExtensionHeadersElsewherePassToo) {
  const Segment elsewhere = data(publish_packet("t")).from(kClient6).to({kService6.address, 80});
  for (const std::uint8_t kind : std::initializer_list<std::uint8_t>{0, 43, 44, 50, 51, 60, 135})
    expect_untouched(Segment(elsewhere).extension(kind, {}).frame(), "an extension header");
  expect_untouched(Segment(elsewhere).extension(44, {0, 9}).frame(), "later fragment");
  expect_untouched(Segment(elsewhere).claiming_ip_length(1400).frame(), "truncated");
  expect_untouched(Segment(elsewhere).claiming_ip_length(0).frame(), "a jumbogram");
}

// Their ports are not visible; the host's own stack has no such connection.
TEST_F(OtherTrafficTest, WhatHidesItsPortsPassesEvenToTheService) {
  const Segment hidden = data(publish_packet("t")).from(kClient6).to(kService6);
  for (const std::uint8_t kind : std::initializer_list<std::uint8_t>{50, 51, 59, 135, 253})
    expect_untouched(Segment(hidden).extension(kind, {}).frame(), "not to be seen through");
  expect_untouched(Segment(hidden).extension(44, {0, 9}).frame(), "later fragment");
  Segment five = hidden;
  for (int n = 0; n < 5; n++) five.extension(60, {});
  expect_untouched(five.frame(), "five extension headers");
}

// A packet to the service, cut at every length, is whole, has no ports, or is dropped.
TEST_F(OtherTrafficTest, ServicePacketsCutAnywhereDoNoHarm) {
  ipv6_reals();
  const Segment over4 = segment_to(kService),
                over6 = data(publish_packet("t")).from(kClient6).to(kService6).seq(9);
  for (const Segment& segment :
       {over4, over6, Segment(over4).tagged({{5}}), Segment(over6).tagged({{5}}),
        Segment(over4).ip_options(Bytes(8, 1)), Segment(over6).extension(0, {})}) {
    const Bytes whole = segment.frame();
    const std::size_t to_ports = whole.size() - publish_packet("t").size();
    for (std::size_t size = 14; size < whole.size(); size++) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      if (size < to_ports)
        expect_untouched(cut, "cut in front of the payload");
      else
        EXPECT_TRUE(send_frame(cut).dropped()) << size;
    }
  }
}

// Seeded noise over whole frames: a frame may be handled in any way, except that a forwarded
// frame must not have wrong checksums if those of the noisy frame were right.
TEST_F(OtherTrafficTest, NoiseDoesNoHarm) {
  ipv6_reals();
  const std::uint32_t seed = 9;
  std::mt19937 random(seed);
  const Segment shapes[] = {
      segment_to(kService), data(publish_packet("t")).from(kClient6).to(kService6),
      segment_to(kService).tagged({{5}}),
      data(publish_packet("t")).from(kClient6).to(kService6).extension(0, {}).tagged({{5}})};
  for (int round = 0; round < 4000; round++) {
    Bytes frame = shapes[random() % std::size(shapes)].frame();
    for (unsigned changes = 1 + random() % 4; changes > 0; changes--)
      frame[12 + random() % (frame.size() - 12)] = static_cast<std::uint8_t>(random());
    frame.resize(14 + random() % (frame.size() - 13));
    const Outcome out = send_frame(frame);
    ASSERT_NE(out.verdict, XDP_ABORTED) << "seed " << seed << ", round " << round;
    if (out.verdict == XDP_PASS) {
      ASSERT_EQ(out.packet.bytes(), frame) << "seed " << seed << ", round " << round;
    }
  }
}

TEST_F(OtherTrafficTest, OptionsAndFragmentsElsewherePassToo) {
  const Peer elsewhere{kService.address, 80};
  expect_untouched(segment_to(elsewhere).ip_options({7, 3, 4}).frame(), "IPv4 options");
  expect_untouched(segment_to(elsewhere).fragment(0x2000).frame(), "first fragment");
  expect_untouched(segment_to(elsewhere).fragment(0x2010).frame(), "later fragment");
  expect_untouched(segment_to(elsewhere).claiming_ip_length(1400).frame(), "truncated");
  expect_untouched(data(Bytes(1460, 'x')).from(kClient).to(elsewhere).frame(), "full size");
}

TEST_F(OtherTrafficTest, FramesTooShortForPortsPass) {
  const Bytes whole = segment_to(kService).frame();
  for (const std::ptrdiff_t size : {14, 20, 33, 34, 38, 53}) {
    SCOPED_TRACE(size);
    expect_untouched(Bytes(whole.begin(), whole.begin() + size), "cut");
  }
}

TEST_F(OtherTrafficTest, PassesWhileTheSlotsAreEmpty) {
  const Bytes ssh = segment_to({kService.address, 22}).frame();

  chain_->empty_slot(SLOT_FORWARDER);
  expect_untouched(ssh, "no forwarder");

  chain_->empty_slot(SLOT_MQTT);
  const Outcome out = send_frame(ssh);
  EXPECT_EQ(out.verdict, XDP_PASS);
  EXPECT_EQ(out.packet.bytes(), ssh);
}

// The forwarder uses only what the stage has written for this packet.
TEST_F(OtherTrafficTest, FollowsServiceTrafficUntouched) {
  ASSERT_TRUE(send(Client(kClient, kService).syn()).forwarded());
  expect_untouched(segment_to({kService.address, 22}).frame(), "after a forwarded packet");

  chain_->empty_slot(SLOT_FORWARDER);
  ASSERT_TRUE(send(Client(kClient, kService).syn()).dropped());
  chain_->put_in_slot(SLOT_FORWARDER, chain_->forwarder_fd());
  expect_untouched(segment_to({kService.address, 22}).frame(), "after a dropped one");
}

TEST_F(OtherTrafficTest, WithoutTheStageTheServiceIsOtherTrafficToo) {
  chain_->empty_slot(SLOT_MQTT);
  const Bytes frame = segment_to(kService).frame();

  const Outcome out = send_frame(frame);

  EXPECT_EQ(out.verdict, XDP_PASS);
  EXPECT_EQ(out.packet.bytes(), frame);
}

struct Refused {
  const char* what;
  Segment segment;
  enum counter counter;
};

TEST_F(OtherTrafficTest, WhatCannotBeSteeredIsDroppedAndCounted) {
  const Refused cases[] = {
      {"IPv4 options", segment_to(kService).ip_options({7, 3, 4}), COUNT_IP_OPTIONS},
      {"first fragment", segment_to(kService).fragment(0x2000), COUNT_FRAGMENT},
      {"IP length beyond the frame", segment_to(kService).claiming_ip_length(200), COUNT_TRUNCATED},
      {"IP length below the headers", segment_to(kService).claiming_ip_length(30), COUNT_TRUNCATED},
      {"IPv4 options behind a tag", segment_to(kService).ip_options({7, 3, 4}).tagged({{5}}),
       COUNT_IP_OPTIONS},
      {"hop by hop options", segment_to6().extension(0, {}), COUNT_IPV6_EXTENSION},
      {"a routing header", segment_to6().extension(43, {}), COUNT_IPV6_EXTENSION},
      {"destination options behind a tag", segment_to6().extension(60, {}).tagged({{5}}),
       COUNT_IPV6_EXTENSION},
      {"first fragment over IPv6", segment_to6().extension(44, {0, 1}), COUNT_FRAGMENT},
      {"IPv6 length beyond the frame", segment_to6().claiming_ip_length(200), COUNT_TRUNCATED},
      {"IPv6 length below the header", segment_to6().claiming_ip_length(19), COUNT_TRUNCATED},
      {"a jumbogram", segment_to6().claiming_ip_length(0), COUNT_TRUNCATED},
  };
  for (const Refused& refused : cases) {
    EXPECT_TRUE(send(refused.segment).dropped()) << refused.what;
    EXPECT_GE(counter(refused.counter), 1u) << refused.what;
  }
  EXPECT_EQ(counter(COUNT_TRUNCATED), 5u);
  EXPECT_EQ(counter(COUNT_IP_OPTIONS), 2u);
  EXPECT_EQ(counter(COUNT_FRAGMENT), 2u);
  EXPECT_EQ(counter(COUNT_IPV6_EXTENSION), 3u);
  EXPECT_EQ(counter(COUNT_OTHER_TRAFFIC), 0u);
}

// Without ports the stage cannot find the connection; the host's own stack drops it.
TEST_F(OtherTrafficTest, LaterFragmentsToTheServicePass) {
  expect_untouched(segment_to(kService).fragment(0x2010).frame(), "later fragment");
}

}  // namespace
}  // namespace remora
