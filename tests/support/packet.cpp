// SPDX-License-Identifier: Apache-2.0
#include "tests/support/packet.h"

#include <endian.h>

#include <cstdio>
#include <cstring>
#include <ostream>

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

void put_address(Bytes& out, const IpAddress& address) {
  if (address.is_ipv6())
    out.insert(out.end(), address.raw().begin(), address.raw().end());
  else
    put32(out, address.ipv4());
}

// RFC 8200 §3, with a traffic class and a flow label.
Bytes ipv6_header(const IpAddress& source, const IpAddress& destination, std::uint8_t next_header,
                  std::size_t payload_length) {
  Bytes out;
  put32(out, 0x60212345);
  put16(out, payload_length);
  put8(out, next_header);
  put8(out, kTtl);
  out.insert(out.end(), source.raw().begin(), source.raw().end());
  out.insert(out.end(), destination.raw().begin(), destination.raw().end());
  return out;
}

// The sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1). Its zeros do not change the sum.
std::uint16_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination,
                                std::uint8_t protocol, std::size_t length) {
  Bytes pseudo;
  put_address(pseudo, source);
  put_address(pseudo, destination);
  put16(pseudo, protocol);
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

bool tcp_checksum_is_valid(const IpAddress& source, const IpAddress& destination,
                           const Bytes& segment) {
  return internet_sum(segment, pseudo_header_sum(source, destination, IPPROTO_TCP,
                                                 segment.size())) == 0xffff;
}

std::ostream& operator<<(std::ostream& out, const IpAddress& address) {
  const IpAddress::Raw& raw = address.raw();
  char text[48];
  if (address.is_ipv6()) {
    char* end = text;
    for (std::size_t i = 0; i < 16; i += 2)
      end += std::snprintf(end, 8, "%s%x", i ? ":" : "", raw[i] << 8 | raw[i + 1]);
  } else {
    std::snprintf(text, sizeof(text), "%d.%d.%d.%d", raw[12], raw[13], raw[14], raw[15]);
  }
  return out << text;
}

Segment& Segment::options(Bytes options) {
  options_ = in_whole_words(std::move(options));
  return *this;
}

Segment& Segment::extension(std::uint8_t kind, Bytes body) {
  body.resize((body.size() + 2 + 7) / 8 * 8 - 2);
  extensions_.emplace_back(kind, std::move(body));
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
  write16(
      tcp, 16,
      static_cast<std::uint16_t>(~internet_sum(
          tcp, pseudo_header_sum(source_.address, destination_.address, IPPROTO_TCP, tcp.size()))));

  const bool over_ipv6 = destination_.address.is_ipv6();
  Bytes out = ethernet_header(over_ipv6 ? ETH_P_IPV6 : ETH_P_IP);
  if (over_ipv6) {
    // Each header names the type of the next one; the last names TCP.
    std::uint8_t kind = IPPROTO_TCP;
    Bytes body = tcp;
    for (std::size_t i = extensions_.size(); i-- > 0;) {
      const auto& [own_kind, own_body] = extensions_[i];
      Bytes header{kind, static_cast<std::uint8_t>((own_body.size() + 2) / 8 - 1)};
      append(header, own_body);
      append(header, body);
      body = std::move(header);
      kind = own_kind;
    }
    append(out, ipv6_header(source_.address, destination_.address, kind,
                            ip_length_.value_or(body.size())));
    append(out, body);
  } else {
    append(out, ip_header({source_.address.ipv4(), destination_.address.ipv4(), IPPROTO_TCP,
                           ip_length_.value_or(20 + ip_options_.size() + tcp.size()), fragment_,
                           ip_options_}));
    append(out, tcp);
  }
  out = with_tags(out, tags_);
  if (out.size() < frame_size_) out.resize(frame_size_, 0xee);
  return out;
}

Bytes ipv4_frame(Peer from, Peer to, std::uint8_t protocol, const Bytes& body) {
  Bytes out = ethernet_header(ETH_P_IP);
  append(
      out,
      ip_header({from.address.ipv4(), to.address.ipv4(), protocol, 20 + body.size(), 0x4000, {}}));
  append(out, body);
  return out;
}

Bytes ipv6_frame(Peer from, Peer to, std::uint8_t next_header, const Bytes& body) {
  Bytes out = ethernet_header(ETH_P_IPV6);
  append(out, ipv6_header(from.address, to.address, next_header, body.size()));
  append(out, body);
  return out;
}

Bytes with_tags(const Bytes& frame, const std::vector<VlanTag>& tags) {
  Bytes inserted;
  for (const VlanTag& tag : tags) {
    put16(inserted, tag.type);
    put16(inserted, tag.id);
  }
  Bytes out = frame;
  out.insert(out.begin() + 2 * ETH_ALEN, inserted.begin(), inserted.end());
  return out;
}

Bytes icmp_with_checksum(Bytes message) {
  write16(message, 2, 0);
  write16(message, 2, static_cast<std::uint16_t>(~internet_sum(message)));
  return message;
}

Bytes icmp6_with_checksum(Bytes message, const IpAddress& source, const IpAddress& destination) {
  write16(message, 2, 0);
  const std::uint16_t sum =
      internet_sum(message, pseudo_header_sum(source, destination, IPPROTO_ICMPV6, message.size()));
  write16(message, 2, static_cast<std::uint16_t>(~sum));
  return message;
}

template <class Header>
Header Packet::read(std::size_t offset) const {
  Header header;
  if (offset + sizeof(header) > frame_.size()) throw std::out_of_range("header behind the frame");
  std::memcpy(&header, frame_.data() + offset, sizeof(header));
  return header;
}

std::vector<VlanTag> Packet::tags() const {
  std::vector<VlanTag> tags;
  for (std::size_t at = 2 * ETH_ALEN;; at += 4) {
    const std::uint16_t type = be16toh(read<std::uint16_t>(at));
    if (type != ETH_P_8021Q && type != ETH_P_8021AD) return tags;
    tags.push_back({be16toh(read<std::uint16_t>(at + 2)), type});
  }
}

std::size_t Packet::link_size() const {
  return ETH_HLEN + 4 * tags().size();
}

std::uint16_t Packet::type() const {
  return be16toh(read<std::uint16_t>(link_size() - 2));
}

bool Packet::is_ipv6() const {
  return type() == ETH_P_IPV6;
}

std::uint8_t Packet::protocol() const {
  return is_ipv6() ? ipv6().next_header : ip().protocol;
}

std::size_t Packet::body_offset() const {
  return link_size() + (is_ipv6() ? sizeof(Ipv6Header) : ip().ihl * 4u);
}

std::size_t Packet::ip_size() const {
  return is_ipv6() ? sizeof(Ipv6Header) + be16toh(ipv6().payload_length) : be16toh(ip().tot_len);
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
  if (is_ipv6()) throw std::out_of_range("not an IPv4 packet");
  return read<iphdr>(link_size());
}
Ipv6Header Packet::ipv6() const {
  if (!is_ipv6()) throw std::out_of_range("not an IPv6 packet");
  return read<Ipv6Header>(link_size());
}
tcphdr Packet::tcp() const {
  return read<tcphdr>(body_offset());
}
icmphdr Packet::icmp() const {
  return read<icmphdr>(body_offset());
}
IpAddress Packet::source() const {
  return is_ipv6() ? IpAddress(ipv6().source) : IpAddress(be32toh(ip().saddr));
}
IpAddress Packet::destination() const {
  return is_ipv6() ? IpAddress(ipv6().destination) : IpAddress(be32toh(ip().daddr));
}

Bytes Packet::ip_packet() const {
  const std::size_t end = link_size() + ip_size();
  if (end > frame_.size() || end < body_offset())
    throw std::out_of_range("IP length does not fit the frame");
  return {frame_.begin() + static_cast<std::ptrdiff_t>(link_size()),
          frame_.begin() + static_cast<std::ptrdiff_t>(end)};
}

Bytes Packet::ip_body() const {
  const Bytes packet = ip_packet();
  return {packet.begin() + static_cast<std::ptrdiff_t>(body_offset() - link_size()), packet.end()};
}

Bytes Packet::payload() const {
  const Bytes segment = ip_body();
  const std::size_t header = tcp().doff * 4u;
  if (header > segment.size()) throw std::out_of_range("TCP header behind the packet");
  return {segment.begin() + static_cast<std::ptrdiff_t>(header), segment.end()};
}

bool Packet::is_encapsulated() const {
  return protocol() == IPPROTO_IPIP || protocol() == IPPROTO_IPV6;
}

Packet Packet::inner() const {
  if (!is_encapsulated()) throw std::out_of_range("no packet in this packet");
  const std::size_t type = protocol() == IPPROTO_IPV6 ? ETH_P_IPV6 : ETH_P_IP;
  Bytes out(frame_.begin(), frame_.begin() + static_cast<std::ptrdiff_t>(link_size()));
  write16(out, out.size() - 2, type);
  append(out, ip_body());
  return Packet(out);
}

bool Packet::checksums_are_valid() const {
  const std::span<const std::uint8_t> header =
      std::span(frame_).subspan(link_size(), body_offset() - link_size());
  if (!is_ipv6() && internet_sum(header) != 0xffff) return false;
  switch (protocol()) {
    case IPPROTO_IPIP:
    case IPPROTO_IPV6:
      return inner().checksums_are_valid();
    case IPPROTO_TCP:
      return tcp_checksum_is_valid(source(), destination(), ip_body());
    case IPPROTO_ICMP:
      return internet_sum(ip_body()) == 0xffff;
    case IPPROTO_ICMPV6:
      return internet_sum(ip_body(), pseudo_header_sum(source(), destination(), IPPROTO_ICMPV6,
                                                       ip_body().size())) == 0xffff;
    default:
      return true;
  }
}

}  // namespace remora
