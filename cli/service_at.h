// SPDX-License-Identifier: Apache-2.0
//
// A service of a broker by address and port, as people write it. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/address.h"

namespace remora {

struct ServiceAt {
  Address address;
  std::uint16_t port = 0;  // host order; 0: unknown

  auto operator<=>(const ServiceAt&) const = default;
};

// Accepts "10.1.50.200:1883", "[fc00:50::200]:1883", and an address alone.
std::optional<ServiceAt> parse_service(std::string_view text);
std::string to_string(const ServiceAt& service);

}  // namespace remora
