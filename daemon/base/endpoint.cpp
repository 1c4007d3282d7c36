// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/endpoint.h"

#include <charconv>

#include "bpf/parse.h"

namespace remora {

Endpoint Endpoint::at(const Address& address, std::uint16_t port) {
  return {address, host_to_net16(port)};
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);

  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const auto address = Address::parse(host);
  if (error != std::errc() || !address) return std::nullopt;
  const Endpoint parsed = at(*address, port);
  return to_string(parsed) == text ? std::optional(parsed) : std::nullopt;
}

std::string to_string(const Endpoint& endpoint) {
  const std::string host = to_string(endpoint.address);
  return (endpoint.address.is_ipv4() ? host : "[" + host + "]") + ":" +
         std::to_string(net_to_host16(endpoint.port));
}

}  // namespace remora
