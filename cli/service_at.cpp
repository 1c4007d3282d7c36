// SPDX-License-Identifier: Apache-2.0
#include "cli/service_at.h"

#include <charconv>

namespace remora {

std::optional<ServiceAt> parse_service(std::string_view text) {
  if (const auto address = Address::parse(text)) return ServiceAt{*address, 0};
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  const auto address = Address::parse(host);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (!address || error != std::errc() || end != digits.data() + digits.size() || port == 0)
    return std::nullopt;
  return ServiceAt{*address, port};
}

std::string to_string(const ServiceAt& service) {
  std::string address = to_string(service.address);
  if (service.port == 0) return address;
  return (service.address.is_ipv4() ? address : "[" + address + "]") + ":" +
         std::to_string(service.port);
}

}  // namespace remora
