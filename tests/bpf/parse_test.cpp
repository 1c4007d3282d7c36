// SPDX-License-Identifier: Apache-2.0
#include "bpf/parse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <random>
#include <vector>

#include "tests/support/packet.h"

namespace remora {
namespace {

constexpr Peer kClient{ipv4("10.1.1.7"), 40'000};
constexpr Peer kService{ipv4("10.1.50.200"), 1883};
constexpr Peer kClient6{ipv6("2001:db8:1::7"), 40'000};
constexpr Peer kService6{ipv6("2001:db8:50::200"), 1883};

constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kEsp = 50, kAuth = 51,
                       kNone = 59, kDestination = 60, kMobility = 135;

IpAddress ip_of(const address& abi) {
  IpAddress::Raw raw;
  std::memcpy(raw.data(), &abi, sizeof(abi));
  return IpAddress(raw);
}

// Each frame lies at the end of memory of its own, so that ASan detects every read beyond it,
// and so that the IP header is aligned (NET_IP_ALIGN).
struct Parsed {
  std::unique_ptr<std::uint8_t[]> memory;
  struct headers headers {};
  parse_result result;

  explicit Parsed(const Bytes& frame) {
    constexpr std::size_t kAlign = 2;
    memory = std::make_unique<std::uint8_t[]>(kAlign + frame.size());
    std::copy(frame.begin(), frame.end(), memory.get() + kAlign);
    void *data = memory.get() + kAlign, *end = memory.get() + kAlign + frame.size();
    result = parse_tcp(data, end, &headers);

    // The short path for the usual packet gives the same result, or none.
    if (!is_plain(data, end)) return;
    EXPECT_EQ(result, PARSE_TCP);
    EXPECT_EQ(headers.ip_offset, 14u);
    EXPECT_EQ(ip_of(mapped_address(plain_ip(data)->saddr)), ip_of(headers.client));
    EXPECT_EQ(ip_of(mapped_address(plain_ip(data)->daddr)), ip_of(headers.service));
    segment plain{};
    read_plain(data, &plain);
    EXPECT_EQ(std::memcmp(&plain, &headers.tcp, sizeof(plain)), 0);
    is_usual = true;
  }

  bool is_usual = false;
};

Segment hello(Peer from = kClient, Peer to = kService) {
  return data(bytes_of("hello")).from(from).to(to).seq(77).acknowledging(99);
}

Segment hello6() {
  return hello(kClient6, kService6);
}

TEST(ParseTest, FillsThePacketOfAPlainSegment) {
  const Parsed parsed(hello().frame());

  ASSERT_EQ(parsed.result, PARSE_TCP);
  EXPECT_TRUE(parsed.is_usual);
  EXPECT_EQ(parsed.headers.ip_offset, 14u);
  EXPECT_FALSE(parsed.headers.is_ipv6);
  EXPECT_EQ(ip_of(parsed.headers.client), kClient.address);
  EXPECT_EQ(ip_of(parsed.headers.service), kService.address);
  EXPECT_EQ(be16toh(parsed.headers.tcp.client_port), kClient.port);
  EXPECT_EQ(be16toh(parsed.headers.tcp.service_port), kService.port);
  EXPECT_EQ(parsed.headers.tcp.seq, 77u);
  EXPECT_EQ(be32toh(parsed.headers.ack), 99u);
  EXPECT_EQ(parsed.headers.tcp.flags, unsigned{Segment::kPsh | Segment::kAck});
  EXPECT_EQ(parsed.headers.tcp.ip_len, 45u);
  EXPECT_EQ(parsed.headers.tcp.payload_offset, 54u);
  EXPECT_EQ(parsed.headers.tcp.payload_len, 5u);
}

TEST(ParseTest, FillsThePacketOfASegmentOverIpv6) {
  const Parsed parsed(hello6().frame());

  ASSERT_EQ(parsed.result, PARSE_TCP);
  EXPECT_FALSE(parsed.is_usual);
  EXPECT_EQ(parsed.headers.ip_offset, 14u);
  EXPECT_TRUE(parsed.headers.is_ipv6);
  EXPECT_EQ(ip_of(parsed.headers.client), kClient6.address);
  EXPECT_EQ(ip_of(parsed.headers.service), kService6.address);
  EXPECT_EQ(be16toh(parsed.headers.tcp.client_port), kClient.port);
  EXPECT_EQ(be16toh(parsed.headers.tcp.service_port), kService.port);
  EXPECT_EQ(parsed.headers.tcp.seq, 77u);
  EXPECT_EQ(be32toh(parsed.headers.ack), 99u);
  EXPECT_EQ(parsed.headers.tcp.ip_len, 65u);
  EXPECT_EQ(parsed.headers.tcp.payload_offset, 74u);
  EXPECT_EQ(parsed.headers.tcp.payload_len, 5u);
}

// IEEE 802.1Q and 802.1ad: one tag, two, whatever their types; not three.
TEST(ParseTest, ReadsBehindVlanTags) {
  const VlanTag customer{100}, provider{20, ETH_P_8021AD};
  for (const Segment& segment : {hello(), hello6()}) {
    const Parsed untagged(segment.frame());
    for (const std::vector<VlanTag>& tags : std::vector<std::vector<VlanTag>>{
             {customer}, {provider}, {provider, customer}, {customer, customer}}) {
      const Parsed tagged(Segment(segment).tagged(tags).frame());
      const auto added = static_cast<std::uint32_t>(4 * tags.size());

      ASSERT_EQ(tagged.result, PARSE_TCP);
      EXPECT_FALSE(tagged.is_usual);
      EXPECT_EQ(tagged.headers.ip_offset, 14u + added);
      EXPECT_EQ(tagged.headers.tcp.payload_offset, untagged.headers.tcp.payload_offset + added);
      EXPECT_EQ(tagged.headers.tcp.payload_len, 5u);
      EXPECT_EQ(tagged.headers.tcp.ip_len, untagged.headers.tcp.ip_len);
      EXPECT_EQ(ip_of(tagged.headers.client), ip_of(untagged.headers.client));
      EXPECT_EQ(ip_of(tagged.headers.service), ip_of(untagged.headers.service));
    }
    EXPECT_EQ(Parsed(Segment(segment).tagged({provider, customer, customer}).frame()).result,
              PARSE_OTHER);
  }
}

TEST(ParseTest, TcpOptionsAreNotPayload) {
  const Parsed parsed(hello().options(Bytes(12, 1)).frame());
  ASSERT_EQ(parsed.result, PARSE_TCP);
  EXPECT_EQ(parsed.headers.tcp.payload_offset, 66u);
  EXPECT_EQ(parsed.headers.tcp.payload_len, 5u);

  const Parsed over_ipv6(hello6().options(Bytes(12, 1)).frame());
  ASSERT_EQ(over_ipv6.result, PARSE_TCP);
  EXPECT_EQ(over_ipv6.headers.tcp.payload_offset, 86u);
  EXPECT_EQ(over_ipv6.headers.tcp.payload_len, 5u);
}

TEST(ParseTest, EthernetPaddingIsNotPayload) {
  const Parsed padded(ack().from(kClient).to(kService).padded_to(60).frame());
  ASSERT_EQ(padded.result, PARSE_TCP);
  EXPECT_EQ(padded.headers.tcp.payload_len, 0u);

  const Parsed over_ipv6(ack().from(kClient6).to(kService6).padded_to(80).frame());
  ASSERT_EQ(over_ipv6.result, PARSE_TCP);
  EXPECT_EQ(over_ipv6.headers.tcp.payload_len, 0u);
}

TEST(ParseTest, TellsApartWhatIsNotPlainTcp) {
  Bytes arp = hello().frame(), ipv6 = arp, vlan = arp;
  arp[12] = 0x08, arp[13] = 0x06;
  ipv6[12] = 0x86, ipv6[13] = 0xdd;
  vlan[12] = 0x81, vlan[13] = 0x00;
  Bytes version6 = hello().frame(), short_ihl = version6;
  version6[14] = 0x65;
  short_ihl[14] = 0x44;
  const struct {
    const char* what;
    Bytes frame;
    parse_result expected;
  } cases[] = {
      {"ARP", arp, PARSE_OTHER},
      {"IPv4 in an IPv6 frame", ipv6, PARSE_OTHER},
      {"no tag where one is announced", vlan, PARSE_OTHER},
      {"version 6 in an IPv4 frame", version6, PARSE_OTHER},
      {"header length below 5 words", short_ihl, PARSE_OTHER},
      {"UDP", ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(40)), PARSE_OTHER},
      {"IP options", hello().ip_options({7, 3, 4}).frame(), PARSE_OPTIONS},
      {"40 bytes of IP options", hello().ip_options(Bytes(40, 1)).frame(), PARSE_OPTIONS},
      {"tagged, IP options", hello().ip_options({7, 3, 4}).tagged({{5}}).frame(), PARSE_OPTIONS},
      {"first fragment", hello().fragment(0x2000).frame(), PARSE_FRAGMENT},
      {"later fragment", hello().fragment(0x2001).frame(), PARSE_OTHER},
      {"last fragment", hello().fragment(0x0001).frame(), PARSE_OTHER},
      {"first fragment with options", hello().ip_options({1}).fragment(0x2000).frame(),
       PARSE_FRAGMENT},
      {"may be fragmented, is not", hello().fragment(0).frame(), PARSE_TCP},
      {"IP length beyond the frame", hello().claiming_ip_length(46).frame(), PARSE_TRUNCATED},
      {"IP length below the headers", hello().claiming_ip_length(39).frame(), PARSE_TRUNCATED},
      {"IP length of 0", hello().claiming_ip_length(0).frame(), PARSE_TRUNCATED},
      {"IP length of exactly the headers", hello().claiming_ip_length(40).frame(), PARSE_TCP},
  };
  for (const auto& [what, frame, expected] : cases)
    EXPECT_EQ(Parsed(frame).result, expected) << what;
}

// RFC 8200 §4: headers that may precede TCP, and those that hide it.
TEST(ParseTest, TellsApartWhatIsNotPlainTcpOverIpv6) {
  Bytes version4 = hello6().frame();
  version4[14] = 0x40;
  Bytes mapped_client = hello6().frame(), mapped_service = mapped_client;
  const IpAddress::Raw mapped = kClient.address.raw();
  std::copy(mapped.begin(), mapped.end(), mapped_client.begin() + 22);
  std::copy(mapped.begin(), mapped.end(), mapped_service.begin() + 38);
  const Bytes first{0, 1}, later{0, 9}, whole{0, 0}, last{5, 8};
  const auto with = [](std::uint8_t kind, Bytes body = {}) {
    return hello6().extension(kind, std::move(body)).frame();
  };
  const auto chain = [](std::initializer_list<std::uint8_t> kinds) {
    Segment segment = hello6();
    for (const std::uint8_t kind : kinds) segment.extension(kind, {});
    return segment.frame();
  };
  const struct {
    const char* what;
    Bytes frame;
    parse_result expected;
  } cases[] = {
      {"version 4 in an IPv6 frame", version4, PARSE_OTHER},
      {"UDP", ipv6_frame(kClient6, kService6, IPPROTO_UDP, Bytes(40)), PARSE_OTHER},
      {"ICMPv6", ipv6_frame(kClient6, kService6, IPPROTO_ICMPV6, Bytes(40)), PARSE_OTHER},
      {"from a mapped address", mapped_client, PARSE_OTHER},
      {"to a mapped address", mapped_service, PARSE_OTHER},
      {"hop by hop", with(kHopByHop), PARSE_EXTENSION},
      {"routing", with(kRouting), PARSE_EXTENSION},
      {"destination options", with(kDestination), PARSE_EXTENSION},
      {"a long header", with(kDestination, Bytes(1000)), PARSE_EXTENSION},
      {"four of them", chain({kHopByHop, kDestination, kRouting, kDestination}), PARSE_EXTENSION},
      {"five of them", chain({kHopByHop, kDestination, kRouting, kDestination, kDestination}),
       PARSE_OTHER},
      {"first fragment", with(kFragment, first), PARSE_FRAGMENT},
      {"the only fragment (RFC 6946)", with(kFragment, whole), PARSE_FRAGMENT},
      {"later fragment", with(kFragment, later), PARSE_OTHER},
      {"last fragment", with(kFragment, last), PARSE_OTHER},
      {"first fragment behind hop by hop",
       hello6().extension(kHopByHop, {}).extension(kFragment, first).frame(), PARSE_FRAGMENT},
      {"first fragment in front of destination options",
       hello6().extension(kFragment, first).extension(kDestination, {}).frame(), PARSE_FRAGMENT},
      {"later fragment behind hop by hop",
       hello6().extension(kHopByHop, {}).extension(kFragment, later).frame(), PARSE_OTHER},
      {"encrypted", with(kEsp), PARSE_OTHER},
      {"authenticated", with(kAuth), PARSE_OTHER},
      {"nothing behind", with(kNone), PARSE_OTHER},
      {"mobility", with(kMobility), PARSE_OTHER},
      {"tagged, hop by hop", hello6().extension(kHopByHop, {}).tagged({{5}}).frame(),
       PARSE_EXTENSION},
      {"length beyond the frame", hello6().claiming_ip_length(26).frame(), PARSE_TRUNCATED},
      {"length below the TCP header", hello6().claiming_ip_length(19).frame(), PARSE_TRUNCATED},
      {"a jumbogram's", hello6().claiming_ip_length(0).frame(), PARSE_TRUNCATED},
      {"length of exactly the TCP header", hello6().claiming_ip_length(20).frame(), PARSE_TCP},
  };
  for (const auto& [what, frame, expected] : cases)
    EXPECT_EQ(Parsed(frame).result, expected) << what;
}

TEST(ParseTest, WhatCannotBeSteeredHasItsEndsAllTheSame) {
  for (const Bytes& frame :
       {hello().ip_options({7, 3, 4}).frame(), hello().fragment(0x2000).frame(),
        hello().claiming_ip_length(1000).frame(), hello().tagged({{5}}).fragment(0x2000).frame()}) {
    const Parsed parsed(frame);
    EXPECT_EQ(ip_of(parsed.headers.client), kClient.address);
    EXPECT_EQ(ip_of(parsed.headers.service), kService.address);
    EXPECT_EQ(be16toh(parsed.headers.tcp.service_port), kService.port);
  }
  for (const Bytes& frame :
       {hello6().extension(kHopByHop, {}).frame(), hello6().extension(kFragment, {0, 1}).frame(),
        hello6().claiming_ip_length(1000).frame()}) {
    const Parsed parsed(frame);
    EXPECT_EQ(ip_of(parsed.headers.client), kClient6.address);
    EXPECT_EQ(ip_of(parsed.headers.service), kService6.address);
    EXPECT_EQ(be16toh(parsed.headers.tcp.service_port), kService6.port);
  }
}

TEST(ParseTest, AnInconsistentTcpHeaderHasNoPayload) {
  for (const Segment& segment : {hello(), hello6()}) {
    for (const std::uint8_t words : std::initializer_list<std::uint8_t>{1, 4, 7, 15}) {
      const Parsed parsed(Segment(segment).claiming_data_offset(words).frame());
      ASSERT_EQ(parsed.result, PARSE_TCP) << int{words};
      EXPECT_EQ(parsed.headers.tcp.payload_len, 0u) << int{words};
    }
    const Parsed fits(Segment(segment).claiming_data_offset(6).frame());
    EXPECT_EQ(fits.headers.tcp.payload_len, 1u);
  }
}

TEST(ParseTest, ReadsNothingBehindAFrameCutAnywhere) {
  const Segment segments[] = {
      hello(),
      hello().ip_options(Bytes(8, 1)),
      hello().tagged({{5}}),
      hello6(),
      hello6().tagged({{20, ETH_P_8021AD}, {5}}),
      hello6().extension(kHopByHop, {}).extension(kFragment, {0, 1}).extension(kDestination, {}),
  };
  for (const Segment& segment : segments) {
    const Bytes whole = segment.frame();
    for (std::size_t size = 0; size < whole.size(); size++) {
      const Parsed parsed(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
      EXPECT_NE(parsed.result, PARSE_TCP) << size;
      if (size < 34) {
        EXPECT_EQ(parsed.result, PARSE_OTHER) << size;
      }
    }
  }
}

TEST(ParseTest, ReadsNothingBehindRandomFrames) {
  const std::uint32_t seed = 6;
  std::mt19937 random(seed);
  const Segment shapes[] = {hello(), hello6(), hello().tagged({{5}}),
                            hello6().extension(kHopByHop, {}).extension(kDestination, {})};
  for (int round = 0; round < 100'000; round++) {
    Bytes frame = shapes[random() % std::size(shapes)].frame();
    for (unsigned changes = random() % 4; changes > 0; changes--)
      frame[12 + random() % (frame.size() - 12)] = static_cast<std::uint8_t>(random());
    frame.resize(random() % (frame.size() + 1));
    const Parsed parsed(frame);
    if (parsed.result != PARSE_TCP) continue;
    ASSERT_LE(parsed.headers.tcp.payload_offset + parsed.headers.tcp.payload_len, frame.size())
        << "seed " << seed << ", round " << round;
    ASSERT_LE(parsed.headers.ip_offset + parsed.headers.tcp.ip_len, frame.size());
  }
}

TEST(ParseTest, MapsIpv4Addresses) {
  const address mapped = mapped_address(htobe32(kClient.address.ipv4()));
  const std::uint8_t expected[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 1, 7};
  EXPECT_EQ(std::memcmp(&mapped, expected, sizeof(expected)), 0);
  EXPECT_TRUE(is_ipv4(&mapped));
}

}  // namespace
}  // namespace remora
