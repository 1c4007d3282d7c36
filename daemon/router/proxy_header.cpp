// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/proxy_header.h"

#include <span>

namespace remora::router {
namespace {

constexpr std::uint8_t kSignature[] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                       '\n', 'Q',  'U',  'I',  'T', '\n'};
constexpr std::uint8_t kVersion2Proxy = 0x21;
constexpr std::uint8_t kTcpOverIpv4 = 0x11, kTcpOverIpv6 = 0x21;

}  // namespace

mqtt::Bytes proxy_header(const Endpoint& client, const Endpoint& service) {
  const bool is_ipv4 = client.address.is_ipv4();
  const std::size_t address_size = is_ipv4 ? 4 : 16;
  mqtt::Bytes header(std::begin(kSignature), std::end(kSignature));
  header.push_back(kVersion2Proxy);
  header.push_back(is_ipv4 ? kTcpOverIpv4 : kTcpOverIpv6);
  header.push_back(0);
  header.push_back(static_cast<std::uint8_t>(2 * address_size + 2 * sizeof(client.port)));
  for (const Endpoint& end : {client, service}) {
    const auto bytes = end.address.bytes();  // of IPv4 the last ones
    const auto own = std::span(bytes).last(address_size);
    header.insert(header.end(), own.begin(), own.end());
  }
  for (const Endpoint& end : {client, service}) {
    const auto* port = reinterpret_cast<const std::uint8_t*>(&end.port);
    header.insert(header.end(), port, port + sizeof(end.port));
  }
  return header;
}

}  // namespace remora::router
