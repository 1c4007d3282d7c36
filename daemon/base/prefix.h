// SPDX-License-Identifier: Apache-2.0
//
// A range of addresses in CIDR notation (RFC 4632 §3.1). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/address.h"

namespace remora {

class Prefix {
 public:
  // Parses "198.18.0.0/16" or "fd00::/64". Empty if the text is no network, or if the address has
  // bits after the prefix.
  static std::optional<Prefix> parse(std::string_view text);

  bool is_ipv4() const { return first_.is_ipv4(); }
  const Address& first() const { return first_; }
  // Length of the prefix; for IPv4 at most 32.
  unsigned bits() const { return bits_; }

  bool contains(const Address& address) const;

  // The number of addresses, at most UINT32_MAX.
  std::uint32_t size() const;
  // The address at an index, which counts from first() and must be below size().
  Address at(std::uint32_t index) const;

  bool operator==(const Prefix&) const = default;

 private:
  Prefix(const Address& first, unsigned bits) : first_(first), bits_(bits) {}

  Address first_;
  unsigned bits_;
};

std::string to_string(const Prefix& network);

}  // namespace remora
