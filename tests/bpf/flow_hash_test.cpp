// SPDX-License-Identifier: Apache-2.0
//
// The flow hash against lookup3 as its author describes it: bytes in, three words of state,
// nothing unrolled.
#include "bpf/flow_hash.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>

#include "tests/support/packet.h"

namespace remora {
namespace {

struct State {
  std::uint32_t a, b, c;
};

std::uint32_t turned(std::uint32_t x, unsigned by) {
  return (x << by) | (x >> (32 - by));
}

void mix(State& s) {
  std::uint32_t* word[] = {&s.a, &s.b, &s.c};
  const unsigned turns[] = {4, 6, 8, 16, 19, 4};
  for (int round = 0; round < 6; round++) {
    std::uint32_t &x = *word[round % 3], &y = *word[(round + 1) % 3], &z = *word[(round + 2) % 3];
    x -= z;
    x ^= turned(z, turns[round]);
    z += y;
  }
}

void finish(State& s) {
  std::uint32_t* word[] = {&s.a, &s.b, &s.c};
  const unsigned turns[] = {14, 11, 25, 16, 4, 14, 24};
  for (int round = 0; round < 7; round++) {
    std::uint32_t &x = *word[(round + 2) % 3], &y = *word[(round + 1) % 3];
    x ^= y;
    x -= turned(y, turns[round]);
  }
}

// lookup3's hashlittle(), which the kernel calls jhash().
std::uint32_t plain_hash(const Bytes& key, std::uint32_t seed) {
  const auto start = 0xdeadbeef + static_cast<std::uint32_t>(key.size()) + seed;
  State state{start, start, start};
  std::size_t at = 0;
  const auto add = [&](std::size_t count) {
    std::uint32_t* word[] = {&state.a, &state.b, &state.c};
    for (std::size_t i = 0; i < count; i++)
      *word[i / 4] += static_cast<std::uint32_t>(key[at + i]) << (8 * (i % 4));
    at += count;
  };
  while (key.size() - at > 12) {
    add(12);
    mix(state);
  }
  if (at == key.size()) return state.c;
  add(key.size() - at);
  finish(state);
  return state.c;
}

// The values that lookup3.c's own self-test prints.
TEST(FlowHashTest, ThePlainHashIsLookup3) {
  const Bytes text = bytes_of("Four score and seven years ago");
  EXPECT_EQ(plain_hash(text, 0), 0x17770551u);
  EXPECT_EQ(plain_hash(text, 1), 0xcd628161u);
  EXPECT_EQ(plain_hash({}, 0), 0xdeadbeefu);
}

address abi(const IpAddress& ip) {
  address out;
  std::memcpy(&out, ip.raw().data(), sizeof(out));
  return out;
}

Bytes words(std::uint32_t a, std::uint32_t b) {
  Bytes out(8);
  std::memcpy(out.data(), &a, 4);
  std::memcpy(out.data() + 4, &b, 4);
  return out;
}

TEST(FlowHashTest, HashesAnAddressAsJhashDoes) {
  const std::uint32_t seed = 7;
  std::mt19937 random(seed);
  for (int round = 0; round < 10'000; round++) {
    const address any = {{static_cast<__be32>(random()), static_cast<__be32>(random()),
                          static_cast<__be32>(random()), static_cast<__be32>(random())}};
    Bytes bytes(16);
    std::memcpy(bytes.data(), &any, 16);
    ASSERT_EQ(hash_address(&any, 512), plain_hash(bytes, 512)) << "seed " << seed;
  }
}

TEST(FlowHashTest, HashesTwoWordsAsJhash2wordsDoes) {
  const std::uint32_t seed = 8;
  std::mt19937 random(seed);
  for (int round = 0; round < 10'000; round++) {
    const auto a = static_cast<std::uint32_t>(random()), b = static_cast<std::uint32_t>(random()),
               start = static_cast<std::uint32_t>(random());
    ASSERT_EQ(hash_2words(a, b, start), plain_hash(words(a, b), start)) << "seed " << seed;
  }
}

// Katran's hash: an IPv4 client's address as it is in the header, an IPv6 client's address
// hashed with 512; then hashed with the ports and 512 * 65537.
TEST(FlowHashTest, IsKatransForBothFamilies) {
  const std::uint32_t ports = htobe16(40'000) | static_cast<std::uint32_t>(htobe16(1883)) << 16;

  const address client4 = abi(ipv4("10.1.1.7"));
  EXPECT_EQ(flow_hash(&client4, ports),
            plain_hash(words(htobe32(ipv4("10.1.1.7")), ports), 512 * 65537));

  const IpAddress ip6 = ipv6("2001:db8:1::7");
  const address client6 = abi(ip6);
  const std::uint32_t source = plain_hash(Bytes(ip6.raw().begin(), ip6.raw().end()), 512);
  EXPECT_EQ(flow_hash(&client6, ports), plain_hash(words(source, ports), 512 * 65537));
}

// Computed independently of both of the above, so that a mistake in both shows.
TEST(FlowHashTest, GoldenSlots) {
  const struct {
    IpAddress client;
    std::uint16_t client_port, service_port;
    std::uint32_t hash, slot;
  } cases[] = {
      {ipv4("10.1.1.7"), 40'000, 1883, 0x626119b8, 46936},
      {ipv4("10.1.1.7"), 40'001, 1883, 0xa24fa892, 1603},
      {ipv4("192.0.2.255"), 1, 8883, 0x17eb06bd, 61139},
      {ipv6("2001:db8:1::7"), 40'000, 1883, 0xb9aabb93, 489},
      {ipv6("2001:db8:1::7"), 40'001, 1883, 0x9a21f722, 23809},
      {ipv6("fc00:1::ffff"), 65'535, 1883, 0xeb9a307f, 17638},
  };
  for (const auto& [ip, client_port, service_port, hash, slot] : cases) {
    const address client = abi(ip);
    const std::uint32_t ports =
        htobe16(client_port) | static_cast<std::uint32_t>(htobe16(service_port)) << 16;
    EXPECT_EQ(flow_hash(&client, ports), hash) << ip << ' ' << client_port;
    EXPECT_EQ(flow_hash(&client, ports) % RING_SIZE, slot) << ip << ' ' << client_port;
  }
}

}  // namespace
}  // namespace remora
