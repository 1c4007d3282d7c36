// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/address.h"

#include <arpa/inet.h>

#include <bit>

namespace remora {
namespace {

// Large enough for any address; needed because `inet_pton` takes a terminated string.
constexpr std::size_t kLongestText = INET6_ADDRSTRLEN;

// The value of a hexadecimal digit; empty if it is none.
std::optional<std::uint8_t> hex_digit(char character) {
  if (character >= '0' && character <= '9') return static_cast<std::uint8_t>(character - '0');
  if (character >= 'a' && character <= 'f') return static_cast<std::uint8_t>(character - 'a' + 10);
  if (character >= 'A' && character <= 'F') return static_cast<std::uint8_t>(character - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::optional<Address> Address::parse(std::string_view text) {
  if (text.size() >= kLongestText || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  in_addr ipv4;
  if (inet_pton(AF_INET, terminated.c_str(), &ipv4) == 1) return from_ipv4(ipv4.s_addr);
  struct address ipv6;
  if (inet_pton(AF_INET6, terminated.c_str(), &ipv6) == 1) return Address(ipv6);
  return std::nullopt;
}

std::array<std::uint8_t, 16> Address::bytes() const {
  return std::bit_cast<std::array<std::uint8_t, 16>>(words_);
}

bool Address::is_unspecified() const {
  return *this == Address() || *this == from_ipv4(0);
}

bool Address::is_loopback() const {
  if (is_ipv4()) return bytes()[12] == 127;
  std::array<std::uint8_t, 16> one{};
  one.back() = 1;
  return bytes() == one;
}

bool Address::is_multicast() const {
  if (is_ipv4()) return (bytes()[12] & 0xf0) == 0xe0 || ipv4() == 0xffffffff;
  return bytes()[0] == 0xff;
}

bool Address::is_link_local() const {
  return bytes()[0] == 0xfe && (bytes()[1] & 0xc0) == 0x80;
}

std::string to_string(const Address& address) {
  char text[INET6_ADDRSTRLEN];
  if (address.is_ipv4()) {
    const __be32 ipv4 = address.ipv4();
    return inet_ntop(AF_INET, &ipv4, text, sizeof text);
  }
  return inet_ntop(AF_INET6, address.abi().word, text, sizeof text);
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  std::array<std::uint8_t, 6> bytes;
  if (text.size() != bytes.size() * 3 - 1) return std::nullopt;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto high = hex_digit(text[i * 3]);
    const auto low = hex_digit(text[i * 3 + 1]);
    if (!high || !low || (i > 0 && text[i * 3 - 1] != ':')) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(*high << 4 | *low);
  }
  return MacAddress(bytes);
}

bool MacAddress::is_zero() const {
  return *this == MacAddress();
}

std::string to_string(const MacAddress& mac) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : mac.bytes()) {
    if (!text.empty()) text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return text;
}

}  // namespace remora

std::size_t std::hash<remora::Address>::operator()(const remora::Address& address) const noexcept {
  const auto bytes = address.bytes();
  return std::hash<std::string_view>()(
      std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}
