// SPDX-License-Identifier: Apache-2.0
#include "tests/support/packet.h"

#include <endian.h>

#include <cstring>
#include <stdexcept>

namespace remora {
namespace {

constexpr std::uint8_t kTtl = 63;  // one router on the way

void put8(Bytes& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value));
}

void put16(Bytes& out, std::size_t value) {
  put8(out, value >> 8);
  put8(out, value);
}

void put32(Bytes& out, std::size_t value) {
  put16(out, value >> 16);
  put16(out, value);
}

void append(Bytes& out, const Bytes& more) {
  out.insert(out.end(), more.begin(), more.end());
}

void write16(Bytes& out, std::size_t at, std::size_t value) {
  out.at(at) = static_cast<std::uint8_t>(value >> 8);
  out.at(at + 1) = static_cast<std::uint8_t>(value);
}

Bytes in_whole_words(Bytes options) {
  while (options.size() % 4 != 0) options.push_back(0);
  return options;
}

Bytes ethernet_header(std::uint16_t type) {
  Bytes out(kLbMac.begin(), kLbMac.end());
  out.insert(out.end(), kGatewayMac.begin(), kGatewayMac.end());
  put16(out, type);
  return out;
}

struct IpHeader {
  std::uint32_t source, destination;
  std::uint8_t protocol;
  std::size_t total_length;
  std::uint16_t fragment = 0x4000;
  Bytes options;
};

Bytes ip_header(const IpHeader& header) {
  Bytes out;
  put8(out, 0x40 | (5 + header.options.size() / 4));
  put8(out, 0);
  put16(out, header.total_length);
  put16(out, 0x1234);  // identification
  put16(out, header.fragment);
  put8(out, kTtl);
  put8(out, header.protocol);
  put16(out, 0);
  put32(out, header.source);
  put32(out, header.destination);
  append(out, header.options);
  write16(out, 10, static_cast<std::uint16_t>(~internet_sum(out)));
  return out;
}

// The sum of TCP's pseudo header (RFC 9293 §3.1).
std::uint32_t pseudo_header_sum(std::uint32_t source, std::uint32_t destination,
                                std::size_t length) {
  Bytes pseudo;
  put32(pseudo, source);
  put32(pseudo, destination);
  put16(pseudo, IPPROTO_TCP);
  put16(pseudo, length);
  return internet_sum(pseudo);
}

}  // namespace

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

std::uint16_t internet_sum(std::span<const std::uint8_t> bytes, std::uint32_t start) {
  std::uint32_t sum = start;
  for (std::size_t i = 0; i < bytes.size(); i++) {
    sum += i % 2 == 0 ? bytes[i] * 256u : bytes[i];
    if (sum > 0xffff) sum -= 0xffff;  // the carry comes around
  }
  return static_cast<std::uint16_t>(sum);
}

bool tcp_checksum_is_valid(std::uint32_t source, std::uint32_t destination, const Bytes& segment) {
  return internet_sum(segment, pseudo_header_sum(source, destination, segment.size())) == 0xffff;
}

Segment& Segment::options(Bytes options) {
  options_ = in_whole_words(std::move(options));
  return *this;
}

Segment& Segment::ip_options(Bytes options) {
  ip_options_ = in_whole_words(std::move(options));
  return *this;
}

std::uint32_t Segment::next_seq() const {
  const std::uint32_t ends = (flags_ & kSyn ? 1u : 0u) + (flags_ & kFin ? 1u : 0u);
  return seq_ + static_cast<std::uint32_t>(payload_.size()) + ends;
}

Bytes Segment::frame() const {
  Bytes tcp;
  put16(tcp, source_.port);
  put16(tcp, destination_.port);
  put32(tcp, seq_);
  put32(tcp, ack_);
  put8(tcp, (data_offset_ ? data_offset_ : 5 + options_.size() / 4) << 4);
  put8(tcp, flags_);
  put16(tcp, 64240);  // window
  put16(tcp, 0);      // checksum
  put16(tcp, 0);      // urgent pointer
  append(tcp, options_);
  append(tcp, payload_);
  write16(tcp, 16,
          static_cast<std::uint16_t>(~internet_sum(
              tcp, pseudo_header_sum(source_.address, destination_.address, tcp.size()))));

  Bytes out = ethernet_header(ETH_P_IP);
  append(out, ip_header({source_.address, destination_.address, IPPROTO_TCP,
                         ip_length_ ? ip_length_ : 20 + ip_options_.size() + tcp.size(), fragment_,
                         ip_options_}));
  append(out, tcp);
  if (out.size() < frame_size_) out.resize(frame_size_, 0xee);
  return out;
}

Bytes ipv4_frame(Endpoint from, Endpoint to, std::uint8_t protocol, const Bytes& body) {
  Bytes out = ethernet_header(ETH_P_IP);
  append(out, ip_header({from.address, to.address, protocol, 20 + body.size(), 0x4000, {}}));
  append(out, body);
  return out;
}

template <class Header>
Header Packet::read(std::size_t offset) const {
  Header header;
  if (offset + sizeof(header) > frame_.size()) throw std::out_of_range("header behind the frame");
  std::memcpy(&header, frame_.data() + offset, sizeof(header));
  return header;
}

std::size_t Packet::body_offset() const {
  return ETH_HLEN + ip().ihl * 4u;
}

Mac Packet::destination_mac() const {
  Mac mac;
  std::memcpy(mac.data(), read<ethhdr>(0).h_dest, mac.size());
  return mac;
}

Mac Packet::source_mac() const {
  Mac mac;
  std::memcpy(mac.data(), read<ethhdr>(0).h_source, mac.size());
  return mac;
}

iphdr Packet::ip() const {
  return read<iphdr>(ETH_HLEN);
}
tcphdr Packet::tcp() const {
  return read<tcphdr>(body_offset());
}
icmphdr Packet::icmp() const {
  return read<icmphdr>(body_offset());
}
std::uint32_t Packet::source() const {
  return be32toh(ip().saddr);
}
std::uint32_t Packet::destination() const {
  return be32toh(ip().daddr);
}

Bytes Packet::ip_body() const {
  const std::size_t end = ETH_HLEN + std::size_t{be16toh(ip().tot_len)};
  if (end > frame_.size() || end < body_offset())
    throw std::out_of_range("IP length does not fit the frame");
  return {frame_.begin() + static_cast<std::ptrdiff_t>(body_offset()),
          frame_.begin() + static_cast<std::ptrdiff_t>(end)};
}

Bytes Packet::payload() const {
  const Bytes segment = ip_body();
  const std::size_t header = tcp().doff * 4u;
  if (header > segment.size()) throw std::out_of_range("TCP header behind the packet");
  return {segment.begin() + static_cast<std::ptrdiff_t>(header), segment.end()};
}

Packet Packet::inner() const {
  if (ip().protocol != IPPROTO_IPIP) throw std::out_of_range("not an IPIP packet");
  Bytes out(frame_.begin(), frame_.begin() + ETH_HLEN);
  append(out, ip_body());
  return Packet(out);
}

bool Packet::checksums_are_valid() const {
  const std::span<const std::uint8_t> header =
      std::span(frame_).subspan(ETH_HLEN, body_offset() - ETH_HLEN);
  if (internet_sum(header) != 0xffff) return false;
  switch (ip().protocol) {
    case IPPROTO_IPIP:
      return inner().checksums_are_valid();
    case IPPROTO_TCP:
      return tcp_checksum_is_valid(source(), destination(), ip_body());
    case IPPROTO_ICMP:
      return internet_sum(ip_body()) == 0xffff;
    default:
      return true;
  }
}

}  // namespace remora
