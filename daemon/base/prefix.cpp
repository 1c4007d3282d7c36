// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/prefix.h"

#include <bit>
#include <charconv>

namespace remora {
namespace {

constexpr unsigned kIpv4Bits = 32;
constexpr unsigned kIpv6Bits = 128;

unsigned family_bits(const Address& address) {
  return address.is_ipv4() ? kIpv4Bits : kIpv6Bits;
}

// The address with all bits after the prefix cleared.
Address masked(const Address& address, unsigned bits) {
  auto bytes = address.bytes();
  const unsigned kept = bits + kIpv6Bits - family_bits(address);
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const unsigned before = i * 8;
    if (before >= kept) {
      bytes[i] = 0;
    } else if (kept - before < 8) {
      bytes[i] = static_cast<std::uint8_t>(bytes[i] & 0xff << (8 - (kept - before)));
    }
  }
  return Address(std::bit_cast<struct address>(bytes));
}

}  // namespace

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto first = Address::parse(text.substr(0, slash));
  const std::string_view length = text.substr(slash + 1);
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  if (!first || error != std::errc() || end != length.data() + length.size() ||
      bits > family_bits(*first) || masked(*first, bits) != *first) {
    return std::nullopt;
  }
  return Prefix(*first, bits);
}

bool Prefix::contains(const Address& address) const {
  return address.is_ipv4() == is_ipv4() && masked(address, bits_) == first_;
}

std::uint32_t Prefix::size() const {
  const unsigned free = family_bits(first_) - bits_;
  return free >= 32 ? UINT32_MAX : std::uint32_t{1} << free;
}

Address Prefix::at(std::uint32_t index) const {
  auto words = first_.abi();
  words.word[3] |= __builtin_bswap32(index);
  return Address(words);
}

std::string to_string(const Prefix& network) {
  return to_string(network.first()) + "/" + std::to_string(network.bits());
}

}  // namespace remora
