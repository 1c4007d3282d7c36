// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/proxy_header.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

Endpoint at(const char* address, std::uint16_t port) {
  return Endpoint::at(*Address::parse(address), port);
}

// https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, §2.2.
TEST(ProxyHeaderTest, NamesTheClientAndTheService) {
  const mqtt::Bytes begin{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 'Q', 'U', 'I', 'T', 0x0a, 0x21};
  mqtt::Bytes ipv4 = begin, ipv6 = begin;
  ipv4.insert(ipv4.end(), {0x11, 0, 12, 10, 1, 1, 7, 10, 1, 50, 200, 0x9c, 0x40, 0x07, 0x5b});
  ipv6.insert(ipv6.end(), {0x21, 0, 36});
  ipv6.insert(ipv6.end(), {0xfc, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7});
  ipv6.insert(ipv6.end(), {0xfc, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0});
  ipv6.insert(ipv6.end(), {0x9c, 0x40, 0x07, 0x5b});

  EXPECT_EQ(router::proxy_header(at("10.1.1.7", 40000), at("10.1.50.200", 1883)), ipv4);
  EXPECT_EQ(router::proxy_header(at("fc00:1::7", 40000), at("fc00:5::200", 1883)), ipv6);
}

}  // namespace
}  // namespace remora
