// SPDX-License-Identifier: Apache-2.0
//
// Addresses as the rest of the daemon handles them: a value around the ABI's
// `struct address`, and the Ethernet address of the gateway.
//
// Pure: nothing here asks the system. `parse` reads text and returns no value if the text is not an
// address; `to_string` writes it.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "bpf/abi.h"

namespace remora {

// IPv4 or IPv6, in network byte order; IPv4 as ::ffff:a.b.c.d. A default-constructed
// address is `::`, which no host has.
class Address {
 public:
  constexpr Address() = default;
  explicit constexpr Address(const address& abi) : words_(abi) {}
  static constexpr Address from_ipv4(__be32 ipv4) {
    return Address(address{{0, 0, mapped_prefix(), ipv4}});
  }

  // "10.1.3.101" or "fc00::1"; no port, no prefix length, no zone.
  static std::optional<Address> parse(std::string_view text);

  constexpr const address& abi() const { return words_; }

  constexpr bool is_ipv4() const {
    return words_.word[0] == 0 && words_.word[1] == 0 && words_.word[2] == mapped_prefix();
  }
  // The IPv4 address; only if is_ipv4().
  constexpr __be32 ipv4() const { return words_.word[3]; }

  // `::` or 0.0.0.0.
  bool is_unspecified() const;
  bool is_loopback() const;
  // Multicast, or IPv4's limited broadcast.
  bool is_multicast() const;
  // Whether it is in fe80::/10 of IPv6 (RFC 4291 §2.5.6), so that it needs an interface.
  bool is_link_local() const;

  // The sixteen bytes in network order; for IPv4 the mapped form.
  std::array<std::uint8_t, 16> bytes() const;

  // The order of the bytes, so that IPv4 addresses sort as people expect.
  friend std::strong_ordering operator<=>(const Address& left, const Address& right) {
    return left.bytes() <=> right.bytes();
  }
  friend bool operator==(const Address& left, const Address& right) {
    return left.bytes() == right.bytes();
  }

 private:
  static constexpr __be32 mapped_prefix() { return __builtin_bswap32(0x0000ffff); }

  address words_{};
};

// IPv4 dotted, IPv6 as RFC 5952 writes it.
std::string to_string(const Address& address);

// An Ethernet address.
class MacAddress {
 public:
  constexpr MacAddress() = default;
  explicit constexpr MacAddress(const std::array<std::uint8_t, 6>& bytes) : bytes_(bytes) {}

  // Six pairs of hexadecimal digits with colons between them.
  static std::optional<MacAddress> parse(std::string_view text);

  constexpr const std::array<std::uint8_t, 6>& bytes() const { return bytes_; }

  bool is_zero() const;
  // The group bit: multicast and broadcast.
  constexpr bool is_multicast() const { return (bytes_[0] & 1) != 0; }

  auto operator<=>(const MacAddress&) const = default;

 private:
  std::array<std::uint8_t, 6> bytes_{};
};

std::string to_string(const MacAddress& mac);

}  // namespace remora

template <>
struct std::hash<remora::Address> {
  std::size_t operator()(const remora::Address& address) const noexcept;
};
