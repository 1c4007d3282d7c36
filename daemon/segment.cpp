// SPDX-License-Identifier: Apache-2.0
#include "daemon/segment.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "bpf/reply.h"

namespace remora {
namespace {

// MQTT 3.1.1 §3.14: no Will is published after it. MQTT 5.0 §3.14.2.1: the
// reason code may be omitted and then is 0.
constexpr std::array<std::uint8_t, 2> kDisconnect{0xe0, 0x00};
constexpr std::uint8_t kTtl = 64;

constexpr std::uint8_t kOptionEnd = 0;
constexpr std::uint8_t kOptionNop = 1;
constexpr std::uint8_t kOptionTimestamps = 8;  // RFC 7323 §3.2
constexpr std::size_t kTimestampsBytes = 10;

// The client's timestamps, padded to a multiple of four (RFC 7323 appendix A);
// empty when the segment had none.
Bytes timestamps_of(const event& head) {
  const std::size_t count = std::min<std::size_t>(head.options_len, sizeof(head.options));
  for (std::size_t at = 0; at < count;) {
    const std::uint8_t kind = head.options[at];
    if (kind == kOptionEnd) break;
    if (kind == kOptionNop) {
      ++at;
      continue;
    }
    if (at + 1 >= count || head.options[at + 1] < 2) break;
    const std::size_t length = head.options[at + 1];
    if (at + length > count) break;
    if (kind == kOptionTimestamps && length == kTimestampsBytes) {
      Bytes padded{kOptionNop, kOptionNop};
      padded.insert(padded.end(), head.options + at, head.options + at + length);
      return padded;
    }
    at += length;
  }
  return {};
}

std::uint32_t sum_bytes(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? bytes[i] : static_cast<std::uint32_t>(bytes[i]) << 8;
  }
  return sum;
}

iphdr ip_header(std::size_t total, std::uint8_t protocol, __be32 source, __be32 destination) {
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.tot_len = host_to_net16(static_cast<std::uint16_t>(total));
  ip.ttl = kTtl;
  ip.protocol = protocol;
  ip.saddr = source;
  ip.daddr = destination;
  ip.check = fold_checksum(sum_words(&ip, sizeof(ip) / 2));
  return ip;
}

struct Flags {
  bool psh = false;
  bool rst = false;
};

// A segment of the client to the service.
Bytes client_segment(const event& head, const Endpoint& service, std::uint32_t seq, Flags flags,
                     std::span<const std::uint8_t> payload) {
  const Bytes options = timestamps_of(head);
  const std::size_t tcp_bytes = sizeof(tcphdr) + options.size() + payload.size();
  const Address client(head.flow.client);
  const iphdr ip =
      ip_header(sizeof(iphdr) + tcp_bytes, IPPROTO_TCP, client.ipv4(), service.address.ipv4());
  tcphdr tcp{};
  tcp.source = head.flow.port;
  tcp.dest = service.port;
  tcp.seq = host_to_net32(seq);
  tcp.ack_seq = host_to_net32(head.ack);
  tcp.doff = static_cast<std::uint16_t>((sizeof(tcphdr) + options.size()) / 4) & 0xf;
  tcp.ack = 1;
  tcp.psh = flags.psh;
  tcp.rst = flags.rst;
  tcp.window = 0xffff;

  Bytes packet(sizeof(ip) + tcp_bytes);
  std::uint8_t* out = packet.data();
  std::memcpy(out, &ip, sizeof(ip));
  std::memcpy(out + sizeof(ip), &tcp, sizeof(tcp));
  std::copy(options.begin(), options.end(), packet.begin() + sizeof(ip) + sizeof(tcp));
  std::copy(payload.begin(), payload.end(),
            packet.end() - static_cast<std::ptrdiff_t>(payload.size()));
  // The pseudo header: addresses, protocol, length (RFC 9293 §3.1).
  const std::uint32_t sum = sum_bytes(std::span(packet).subspan(sizeof(ip))) +
                            sum_words(&ip.saddr, 4) + host_to_net16(IPPROTO_TCP) +
                            host_to_net16(static_cast<std::uint16_t>(tcp_bytes));
  tcp.check = fold_checksum(sum);
  std::memcpy(out + sizeof(ip), &tcp, sizeof(tcp));
  return packet;
}

}  // namespace

Bytes reset_of_client(const Record& record, const Endpoint& service) {
  const rst reset{record.head.flow.client, service.address.abi(), record.head.flow.port,
                  service.port, host_to_net32(record.head.ack)};
  Bytes packet(sizeof(ip_tcp));
  ip_tcp headers;
  write_rst4(&headers, &reset);
  std::memcpy(packet.data(), &headers, sizeof(headers));
  return packet;
}

SessionEnd possible_end(const Record& record) {
  const bool whole = (record.head.flags & EVENT_BEGAN_EARLIER) == 0 &&
                     record.head.publish_offset <= record.data.size();
  return whole ? SessionEnd::kDisconnect : SessionEnd::kReset;
}

std::vector<Bytes> end_of_session(const Record& record, const Endpoint& service, SessionEnd end) {
  const event& head = record.head;
  std::vector<Bytes> packets;
  std::uint32_t next = head.seq;
  if (end == SessionEnd::kDisconnect && possible_end(record) == SessionEnd::kDisconnect) {
    const auto good = record.data.first(head.publish_offset);
    Bytes payload(good.begin(), good.end());
    payload.insert(payload.end(), kDisconnect.begin(), kDisconnect.end());
    packets.push_back(client_segment(head, service, next, {.psh = true}, payload));
    next += static_cast<std::uint32_t>(payload.size());
  }
  packets.push_back(client_segment(head, service, next, {.rst = true}, {}));
  return packets;
}

Bytes encapsulated(const Bytes& inner, const Address& real) {
  // The kernel puts the source in (raw(7)).
  const iphdr outer = ip_header(sizeof(iphdr) + inner.size(), IPPROTO_IPIP, 0, real.ipv4());
  Bytes packet(sizeof(outer) + inner.size());
  std::memcpy(packet.data(), &outer, sizeof(outer));
  std::copy(inner.begin(), inner.end(), packet.begin() + sizeof(outer));
  return packet;
}

}  // namespace remora
