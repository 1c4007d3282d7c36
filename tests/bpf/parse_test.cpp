// SPDX-License-Identifier: Apache-2.0
#include "bpf/parse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "tests/support/packet.h"

namespace remora {
namespace {

constexpr Endpoint kClient{ipv4("10.1.1.7"), 40'000};
constexpr Endpoint kService{ipv4("10.1.50.200"), 1883};

// Each frame lies at the end of memory of its own, so that ASan sees every byte read
// behind it, and so that the IP header is aligned (NET_IP_ALIGN).
struct Parsed {
  std::unique_ptr<std::uint8_t[]> memory;
  packet pkt{};
  parse_result result;

  explicit Parsed(const Bytes& frame) {
    constexpr std::size_t kAlign = 2;
    memory = std::make_unique<std::uint8_t[]>(kAlign + frame.size());
    std::copy(frame.begin(), frame.end(), memory.get() + kAlign);
    result = parse_tcp4(memory.get() + kAlign, memory.get() + kAlign + frame.size(), &pkt);
  }
};

Segment hello() {
  return data(bytes_of("hello")).from(kClient).to(kService).seq(77);
}

TEST(ParseTest, FillsThePacketOfAPlainSegment) {
  const Parsed parsed(hello().frame());

  ASSERT_EQ(parsed.result, PARSE_TCP);
  EXPECT_EQ(parsed.pkt.seq, 77u);
  EXPECT_EQ(parsed.pkt.ip_len, 45u);
  EXPECT_EQ(parsed.pkt.payload_offset, 54u);
  EXPECT_EQ(parsed.pkt.payload_len, 5u);
  EXPECT_EQ(be32toh(parsed.pkt.ip->saddr), kClient.address);
  EXPECT_EQ(be16toh(parsed.pkt.tcp->dest), kService.port);
}

TEST(ParseTest, TcpOptionsAreNotPayload) {
  const Parsed parsed(hello().options(Bytes(12, 1)).frame());

  ASSERT_EQ(parsed.result, PARSE_TCP);
  EXPECT_EQ(parsed.pkt.payload_offset, 66u);
  EXPECT_EQ(parsed.pkt.payload_len, 5u);
}

TEST(ParseTest, EthernetPaddingIsNotPayload) {
  const Parsed padded(ack().from(kClient).to(kService).padded_to(60).frame());

  ASSERT_EQ(padded.result, PARSE_TCP);
  EXPECT_EQ(padded.pkt.payload_len, 0u);
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
      {"IPv6", ipv6, PARSE_OTHER},
      {"VLAN", vlan, PARSE_OTHER},
      {"version 6 in an IPv4 frame", version6, PARSE_OTHER},
      {"header length below 5 words", short_ihl, PARSE_OTHER},
      {"UDP", ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(40)), PARSE_OTHER},
      {"IP options", hello().ip_options({7, 3, 4}).frame(), PARSE_OPTIONS},
      {"40 bytes of IP options", hello().ip_options(Bytes(40, 1)).frame(), PARSE_OPTIONS},
      {"first fragment", hello().fragment(0x2000).frame(), PARSE_FRAGMENT},
      {"later fragment", hello().fragment(0x2001).frame(), PARSE_OTHER},
      {"last fragment", hello().fragment(0x0001).frame(), PARSE_OTHER},
      {"first fragment with options", hello().ip_options({1}).fragment(0x2000).frame(),
       PARSE_FRAGMENT},
      {"may be fragmented, is not", hello().fragment(0).frame(), PARSE_TCP},
      {"IP length beyond the frame", hello().claiming_ip_length(46).frame(), PARSE_TRUNCATED},
      {"IP length below the headers", hello().claiming_ip_length(39).frame(), PARSE_TRUNCATED},
      {"IP length of exactly the headers", hello().claiming_ip_length(40).frame(), PARSE_TCP},
  };
  for (const auto& [what, frame, expected] : cases)
    EXPECT_EQ(Parsed(frame).result, expected) << what;
}

TEST(ParseTest, AnInconsistentTcpHeaderHasNoPayload) {
  for (const std::uint8_t words : std::initializer_list<std::uint8_t>{1, 4, 7, 15}) {
    const Parsed parsed(hello().claiming_data_offset(words).frame());
    ASSERT_EQ(parsed.result, PARSE_TCP) << int{words};
    EXPECT_EQ(parsed.pkt.payload_len, 0u) << int{words};
  }
  const Parsed fits(hello().claiming_data_offset(6).frame());
  EXPECT_EQ(fits.pkt.payload_len, 1u);
}

TEST(ParseTest, ReadsNothingBehindAFrameCutAnywhere) {
  for (const Segment& segment : {hello(), hello().ip_options(Bytes(8, 1))}) {
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

TEST(ParseTest, MapsIpv4Addresses) {
  const address mapped = mapped_address(htobe32(kClient.address.ipv4()));
  const std::uint8_t expected[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 1, 7};
  EXPECT_EQ(std::memcmp(&mapped, expected, sizeof(expected)), 0);
}

}  // namespace
}  // namespace remora
