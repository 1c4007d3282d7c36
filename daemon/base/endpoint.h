// SPDX-License-Identifier: Apache-2.0
//
// An address and a port: one end of a connection, and the identity of a service.
//
// Pure. Text goes in with `parse` and comes out with `to_string`: "10.1.50.200:1883",
// "[2001:db8::1]:1883".
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/address.h"

namespace remora {

struct Endpoint {
  Address address;
  __be16 port;

  // `port` in host order.
  static Endpoint at(const Address& address, std::uint16_t port);
  // Empty unless `text` is in the form that to_string() writes.
  static std::optional<Endpoint> parse(std::string_view text);

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
  friend std::strong_ordering operator<=>(const Endpoint&, const Endpoint&) = default;
};

std::string to_string(const Endpoint& endpoint);

}  // namespace remora
