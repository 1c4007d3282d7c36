// SPDX-License-Identifier: Apache-2.0
#include "bpf/write.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "tests/support/packet.h"

namespace remora {
namespace {

template <class Headers>
Packet framed(const Headers& headers) {
  Bytes frame(ETH_HLEN + sizeof(headers));
  const bool over_ipv6 = sizeof(headers) == sizeof(ipv6_tcp);
  frame[12] = over_ipv6 ? 0x86 : 0x08;
  frame[13] = over_ipv6 ? 0xdd : 0x00;
  std::memcpy(frame.data() + ETH_HLEN, &headers, sizeof(headers));
  return Packet(frame);
}

struct rst rst_of(const Packet& segment) {
  Bytes memory(2);  // so that the IP header is aligned (NET_IP_ALIGN)
  memory.insert(memory.end(), segment.bytes().begin(), segment.bytes().end());
  headers parsed{};
  EXPECT_EQ(parse_tcp(memory.data() + 2, memory.data() + memory.size(), &parsed), PARSE_TCP);
  return rst_for(&parsed);
}

TEST(WriteTest, TheRstIsTheServicesAndWhereTheClientExpectsIt) {
  const Packet segment(data(bytes_of("x"))
                           .from({ipv4("10.1.1.7"), 40'000})
                           .to({ipv4("10.1.50.200"), 1883})
                           .seq(5)
                           .acknowledging(0xfffffff0)
                           .frame());
  const struct rst rst = rst_of(segment);
  ip_tcp out;

  write_rst4(&out, &rst);

  const Packet answer = framed(out);
  EXPECT_EQ(answer.source(), ipv4("10.1.50.200"));
  EXPECT_EQ(answer.destination(), ipv4("10.1.1.7"));
  EXPECT_EQ(be16toh(answer.tcp().source), 1883);
  EXPECT_EQ(be16toh(answer.tcp().dest), 40'000);
  EXPECT_EQ(be32toh(answer.tcp().seq), 0xfffffff0);  // RFC 5961 §3.2
  EXPECT_EQ(answer.tcp().ack_seq, 0u);
  EXPECT_TRUE(answer.tcp().rst);
  EXPECT_FALSE(answer.tcp().ack || answer.tcp().syn || answer.tcp().fin || answer.tcp().psh);
  EXPECT_EQ(answer.tcp().window, 0);
  EXPECT_EQ(answer.tcp().doff, 5);
  EXPECT_EQ(be16toh(answer.ip().tot_len), 40);
  EXPECT_TRUE(answer.checksums_are_valid());
}

TEST(WriteTest, ChecksumsAreRightForAnyAddressesAndNumbers) {
  const std::uint32_t seed = 4;
  std::mt19937 random(seed);
  for (int round = 0; round < 20'000; round++) {
    const struct rst rst = {mapped_address(static_cast<__be32>(random())),
                            mapped_address(static_cast<__be32>(random())),
                            static_cast<__be16>(random()), static_cast<__be16>(random()),
                            static_cast<__be32>(random())};
    ip_tcp out;
    write_rst4(&out, &rst);
    ASSERT_TRUE(framed(out).checksums_are_valid()) << "seed " << seed << ", round " << round;
  }
}

TEST(WriteTest, TheRstOverIpv6IsTheServicesAndWhereTheClientExpectsIt) {
  const IpAddress client = ipv6("2001:db8:1::7"), service = ipv6("2001:db8:50::200");
  const Packet segment(data(bytes_of("x"))
                           .from({client, 40'000})
                           .to({service, 1883})
                           .acknowledging(0xfffffff0)
                           .frame());
  const struct rst rst = rst_of(segment);
  ipv6_tcp out;

  write_rst6(&out, &rst);

  const Packet answer = framed(out);
  EXPECT_EQ(answer.source(), service);
  EXPECT_EQ(answer.destination(), client);
  EXPECT_EQ(answer.protocol(), IPPROTO_TCP);
  EXPECT_EQ(answer.ipv6().version, htobe32(0x60000000));
  EXPECT_EQ(answer.ipv6().hop_limit, 64);
  EXPECT_EQ(be16toh(answer.ipv6().payload_length), 20);
  EXPECT_EQ(be16toh(answer.tcp().source), 1883);
  EXPECT_EQ(be16toh(answer.tcp().dest), 40'000);
  EXPECT_EQ(be32toh(answer.tcp().seq), 0xfffffff0);
  EXPECT_TRUE(answer.tcp().rst);
  EXPECT_FALSE(answer.tcp().ack);
  EXPECT_TRUE(answer.checksums_are_valid());
}

TEST(WriteTest, ChecksumsOverIpv6AreRightForAnyAddressesAndNumbers) {
  const std::uint32_t seed = 5;
  std::mt19937 random(seed);
  const auto any = [&] {
    return address{{static_cast<__be32>(random()), static_cast<__be32>(random()),
                    static_cast<__be32>(random()), static_cast<__be32>(random())}};
  };
  for (int round = 0; round < 20'000; round++) {
    const struct rst rst = {any(), any(), static_cast<__be16>(random()),
                            static_cast<__be16>(random()), static_cast<__be32>(random())};
    ipv6_tcp out;
    write_rst6(&out, &rst);
    ASSERT_TRUE(framed(out).checksums_are_valid()) << "seed " << seed << ", round " << round;
  }
}

TEST(WriteTest, FoldsEveryCarry) {
  const struct {
    std::uint32_t sum;
    std::uint16_t checksum;
  } cases[] = {
      {0, 0xffff},       {0xffff, 0},          {0x10000, 0xfffe},
      {0x1ffff, 0xfffe}, {0xffffffff, 0x0000}, {0x0001fffe, 0},
  };
  for (const auto& [sum, checksum] : cases) EXPECT_EQ(fold_checksum(sum), checksum) << sum;
}

}  // namespace
}  // namespace remora
