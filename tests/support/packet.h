// SPDX-License-Identifier: Apache-2.0
//
// Frames for the tests of the packet path: written as a client would send them,
// and read back as the wire would show them.
//
// Nothing is shared with the code under test: checksums are computed and checked
// here byte by byte, the slow and obvious way (RFC 1071 §4.1).
#pragma once

#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
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

struct Endpoint {
  std::uint32_t address = 0;  // host order
  std::uint16_t port = 0;     // host order
};

using Mac = std::array<std::uint8_t, ETH_ALEN>;

// Of the frames that Segment builds.
inline constexpr Mac kGatewayMac{0x02, 0, 0, 0, 0, 0x01};
inline constexpr Mac kLbMac{0x02, 0, 0, 0, 0, 0x02};

// One TCP segment in IPv4 on Ethernet, on its way from the gateway to the LB.
class Segment {
 public:
  enum Flag : std::uint8_t { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16 };

  explicit Segment(unsigned flags) : flags_(static_cast<std::uint8_t>(flags)) {}

  Segment& from(Endpoint source) { return source_ = source, *this; }
  Segment& to(Endpoint destination) { return destination_ = destination, *this; }
  Segment& seq(std::uint32_t number) { return seq_ = number, *this; }
  Segment& acknowledging(std::uint32_t number) { return ack_ = number, *this; }
  Segment& payload(Bytes bytes) { return payload_ = std::move(bytes), *this; }
  Segment& flags(unsigned flags) { return flags_ = static_cast<std::uint8_t>(flags), *this; }
  // TCP options; filled up with end-of-list to whole words (RFC 9293 §3.1).
  Segment& options(Bytes options);
  // IPv4 options, filled up likewise.
  Segment& ip_options(Bytes options);
  // Flags and offset (in units of 8 bytes) of the IPv4 header.
  Segment& fragment(std::uint16_t field) { return fragment_ = field, *this; }
  // Bytes behind the IP packet, as Ethernet's minimum of 60 makes them.
  Segment& padded_to(std::size_t frame_size) { return frame_size_ = frame_size, *this; }
  // A data offset that does not tell the truth, in words.
  Segment& claiming_data_offset(std::uint8_t words) { return data_offset_ = words, *this; }
  // An IP total length that does not tell the truth.
  Segment& claiming_ip_length(std::uint16_t bytes) { return ip_length_ = bytes, *this; }

  std::uint32_t first_seq() const { return seq_; }
  const Bytes& payload() const { return payload_; }
  // Of the segment behind this one.
  std::uint32_t next_seq() const;

  Bytes frame() const;

 private:
  std::uint8_t flags_;
  Endpoint source_, destination_;
  std::uint32_t seq_ = 0, ack_ = 0;
  Bytes payload_, options_, ip_options_;
  std::uint16_t fragment_ = 0x4000;  // don't fragment
  std::size_t frame_size_ = 0;
  std::uint8_t data_offset_ = 0;
  std::uint16_t ip_length_ = 0;
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

// An IPv4 datagram of any protocol.
Bytes ipv4_frame(Endpoint from, Endpoint to, std::uint8_t protocol, const Bytes& body);

// A frame read back. Reading behind its end throws std::out_of_range.
class Packet {
 public:
  explicit Packet(Bytes frame) : frame_(std::move(frame)) {}

  const Bytes& bytes() const { return frame_; }
  Mac destination_mac() const;
  Mac source_mac() const;

  iphdr ip() const;
  tcphdr tcp() const;
  icmphdr icmp() const;
  std::uint32_t source() const;       // host order
  std::uint32_t destination() const;  // host order
  // What follows the IP header, and what follows the TCP header; no padding.
  Bytes ip_body() const;
  Bytes payload() const;
  // The packet in an IPIP packet, behind the same Ethernet header.
  Packet inner() const;

  // Of the IP header, of TCP or ICMP in it, and of all of that in an inner packet.
  bool checksums_are_valid() const;

 private:
  template <class Header>
  Header read(std::size_t offset) const;
  std::size_t body_offset() const;

  Bytes frame_;
};

// The one's complement sum of big-endian words (RFC 1071 §4.1), odd byte padded.
std::uint16_t internet_sum(std::span<const std::uint8_t> bytes, std::uint32_t start = 0);

// Whether the checksum in a TCP segment is right for these addresses (host order).
bool tcp_checksum_is_valid(std::uint32_t source, std::uint32_t destination, const Bytes& segment);

}  // namespace remora
