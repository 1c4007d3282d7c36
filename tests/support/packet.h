// SPDX-License-Identifier: Apache-2.0
//
// Frames for the tests of the packet path: built as a client would send them, and read as they
// appear on the wire.
//
// No code is shared with the code under test: checksums are computed and checked here byte by
// byte, the slow and obvious way (RFC 1071 §4.1).
#pragma once

#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remora {

using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(std::string_view text);

// An IPv4 address in host order, from "10.1.1.7".
constexpr std::uint32_t ipv4(std::string_view text) {
  std::uint32_t address = 0, octet = 0;
  for (const char c : text) {
    if (c == '.') {
      address = (address | octet) << 8;
      octet = 0;
    } else {
      octet = octet * 10 + static_cast<std::uint32_t>(c - '0');
    }
  }
  return address | octet;
}

// IPv4 or IPv6; IPv4 converts from its number in host order.
class IpAddress {
 public:
  using Raw = std::array<std::uint8_t, 16>;  // network order; IPv4 mapped (RFC 4291 §2.5.5.2)

  constexpr IpAddress() : IpAddress(0) {}
  // NOLINTNEXTLINE(google-explicit-constructor): most tests know IPv4 only
  constexpr IpAddress(std::uint32_t ipv4) : raw_{} {
    raw_[10] = raw_[11] = 0xff;
    put_last_word(ipv4);
  }
  explicit constexpr IpAddress(const Raw& ipv6) : raw_(ipv6) {}

  constexpr bool is_ipv6() const {
    for (std::size_t i = 0; i < 10; i++)
      if (raw_[i] != 0) return true;
    return raw_[10] != 0xff || raw_[11] != 0xff;
  }
  constexpr const Raw& raw() const { return raw_; }
  constexpr std::uint32_t last_word() const {
    return static_cast<std::uint32_t>(raw_[12]) << 24 | static_cast<std::uint32_t>(raw_[13]) << 16 |
           static_cast<std::uint32_t>(raw_[14]) << 8 | raw_[15];
  }
  // In host order. Throws std::logic_error for an IPv6 address.
  constexpr std::uint32_t ipv4() const {
    return is_ipv6() ? throw std::logic_error("not an IPv4 address") : last_word();
  }

  // Adds to the last word.
  friend constexpr IpAddress operator+(IpAddress address, std::uint32_t count) {
    address.put_last_word(address.last_word() + count);
    return address;
  }
  friend constexpr bool operator==(const IpAddress&, const IpAddress&) = default;
  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  constexpr void put_last_word(std::uint32_t word) {
    for (std::size_t i = 0; i < 4; i++)
      raw_[12 + i] = static_cast<std::uint8_t>(word >> (24 - 8 * i));
  }

  Raw raw_;
};

// IPv4 dotted, IPv6 in eight groups; for the messages of failed tests.
std::ostream& operator<<(std::ostream& out, const IpAddress& address);

// An IPv6 address, from "2001:db8::7".
constexpr IpAddress ipv6(std::string_view text) {
  IpAddress::Raw raw{};
  std::size_t groups = 0, gap = 8, group = 0;
  bool digits = false;
  const auto end_group = [&] {
    raw[2 * groups] = static_cast<std::uint8_t>(group >> 8);
    raw[2 * groups + 1] = static_cast<std::uint8_t>(group);
    groups++;
    group = 0;
    digits = false;
  };
  for (std::size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (c != ':') {
      group = group * 16 + static_cast<std::size_t>(c >= 'a' ? c - 'a' + 10 : c - '0');
      digits = true;
      continue;
    }
    if (digits) end_group();
    if (i > 0 && text[i - 1] == ':') gap = groups;
  }
  if (digits) end_group();
  IpAddress::Raw out{};
  for (std::size_t i = 0; i < 2 * groups; i++) out[i < 2 * gap ? i : 16 - 2 * groups + i] = raw[i];
  return IpAddress(out);
}

// One end of a TCP connection.
struct Peer {
  IpAddress address;
  std::uint16_t port = 0;  // host order
};

// An IEEE 802.1Q tag, or that of a provider (802.1ad), which precedes it.
struct VlanTag {
  std::uint16_t id = 0;
  std::uint16_t type = ETH_P_8021Q;

  friend bool operator==(const VlanTag&, const VlanTag&) = default;
};

using Mac = std::array<std::uint8_t, ETH_ALEN>;

// The addresses in frames that Segment builds.
inline constexpr Mac kGatewayMac{0x02, 0, 0, 0, 0, 0x01};
inline constexpr Mac kLbMac{0x02, 0, 0, 0, 0, 0x02};

// One TCP segment in IPv4 or IPv6, depending on its endpoints, on Ethernet, on its way from
// the gateway to the LB.
class Segment {
 public:
  enum Flag : std::uint8_t { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16 };

  explicit Segment(unsigned flags) : flags_(static_cast<std::uint8_t>(flags)) {}

  Segment& from(Peer source) { return source_ = source, *this; }
  Segment& to(Peer destination) { return destination_ = destination, *this; }
  Segment& seq(std::uint32_t number) { return seq_ = number, *this; }
  Segment& acknowledging(std::uint32_t number) { return ack_ = number, *this; }
  Segment& payload(Bytes bytes) { return payload_ = std::move(bytes), *this; }
  Segment& flags(unsigned flags) { return flags_ = static_cast<std::uint8_t>(flags), *this; }
  // TCP options, padded with end-of-list to whole words (RFC 9293 §3.1).
  Segment& options(Bytes options);
  // VLAN tags, the outermost first.
  Segment& tagged(std::vector<VlanTag> tags) { return tags_ = std::move(tags), *this; }
  // One more IPv6 extension header before TCP: the bytes after its first two, padded with zeros to
  // 8 bytes (RFC 8200 §4.1).
  Segment& extension(std::uint8_t kind, Bytes body);
  // IPv4 options, padded in the same way.
  Segment& ip_options(Bytes options);
  // Flags and offset (in units of 8 bytes) of the IPv4 header.
  Segment& fragment(std::uint16_t field) { return fragment_ = field, *this; }
  // Adds bytes after the IP packet, as Ethernet's minimum of 60 bytes requires.
  Segment& padded_to(std::size_t frame_size) { return frame_size_ = frame_size, *this; }
  // A wrong data offset, in words.
  Segment& claiming_data_offset(std::uint8_t words) { return data_offset_ = words, *this; }
  // A wrong IPv4 total length or IPv6 payload length.
  Segment& claiming_ip_length(std::uint16_t bytes) { return ip_length_ = bytes, *this; }

  std::uint32_t first_seq() const { return seq_; }
  const Bytes& payload() const { return payload_; }
  // The sequence number of the segment after this one.
  std::uint32_t next_seq() const;

  Bytes frame() const;

 private:
  std::uint8_t flags_;
  Peer source_, destination_;
  std::uint32_t seq_ = 0, ack_ = 0;
  Bytes payload_, options_, ip_options_;
  std::vector<VlanTag> tags_;
  std::vector<std::pair<std::uint8_t, Bytes>> extensions_;
  std::uint16_t fragment_ = 0x4000;  // don't fragment
  std::size_t frame_size_ = 0;
  std::uint8_t data_offset_ = 0;
  std::optional<std::uint16_t> ip_length_;
};

inline Segment syn() {
  return Segment(Segment::kSyn);
}
inline Segment ack() {
  return Segment(Segment::kAck);
}
inline Segment fin() {
  return Segment(Segment::kFin | Segment::kAck);
}
inline Segment rst() {
  return Segment(Segment::kRst);
}
inline Segment data(Bytes payload) {
  return Segment(Segment::kPsh | Segment::kAck).payload(std::move(payload));
}

// An IPv4 or IPv6 datagram of any protocol.
Bytes ipv4_frame(Peer from, Peer to, std::uint8_t protocol, const Bytes& body);
Bytes ipv6_frame(Peer from, Peer to, std::uint8_t next_header, const Bytes& body);

// The frame with VLAN tags inserted, the outermost first.
Bytes with_tags(const Bytes& frame, const std::vector<VlanTag>& tags);

// Fills in the checksum of a message; that of ICMPv6 needs a pseudo header (RFC 4443 §2.3).
Bytes icmp_with_checksum(Bytes message);
Bytes icmp6_with_checksum(Bytes message, const IpAddress& source, const IpAddress& destination);

// RFC 8200 §3
struct Ipv6Header {
  std::uint32_t version;         // 4 bits; traffic class and flow label; network order
  std::uint16_t payload_length;  // network order
  std::uint8_t next_header, hop_limit;
  IpAddress::Raw source, destination;
};
static_assert(sizeof(Ipv6Header) == 40);

// A frame that was read. Reading beyond its end throws std::out_of_range.
class Packet {
 public:
  explicit Packet(Bytes frame) : frame_(std::move(frame)) {}

  const Bytes& bytes() const { return frame_; }
  Mac destination_mac() const;
  Mac source_mac() const;

  std::vector<VlanTag> tags() const;
  // Bytes before the IP header.
  std::size_t link_size() const;
  std::uint16_t type() const;  // EtherType after the tags
  bool is_ipv6() const;
  std::uint8_t protocol() const;  // IPv6: the next header

  iphdr ip() const;
  Ipv6Header ipv6() const;
  tcphdr tcp() const;
  icmphdr icmp() const;  // also ICMPv6, whose MTU has 32 bits: `un.gateway`
  IpAddress source() const;
  IpAddress destination() const;
  // The IP packet, the bytes after the IP header, and those after the TCP header; without padding.
  Bytes ip_packet() const;
  Bytes ip_body() const;
  Bytes payload() const;
  // Whether it is IPv4 or IPv6 in IPv4 or IPv6. inner() is the inner packet, after the same
  // Ethernet header.
  bool is_encapsulated() const;
  Packet inner() const;

  // Checks the IPv4 header, TCP, ICMP and ICMPv6, also in an inner packet.
  bool checksums_are_valid() const;

 private:
  template <class Header>
  Header read(std::size_t offset) const;
  std::size_t body_offset() const;
  std::size_t ip_size() const;

  Bytes frame_;
};

// The one's complement sum of big-endian words (RFC 1071 §4.1), odd byte padded.
std::uint16_t internet_sum(std::span<const std::uint8_t> bytes, std::uint32_t start = 0);

// Whether the checksum in a TCP segment is right for these addresses.
bool tcp_checksum_is_valid(const IpAddress& source, const IpAddress& destination,
                           const Bytes& segment);

}  // namespace remora
