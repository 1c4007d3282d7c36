// SPDX-License-Identifier: Apache-2.0
#include "daemon/packets/builder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "bpf/outer.h"
#include "bpf/readdress.h"
#include "bpf/write.h"

namespace remora {
namespace {

// MQTT 3.1.1 §3.14: after it no Will is published. MQTT 5.0 §3.14.2.1: the reason code may be
// omitted and then is 0.
constexpr std::array<std::uint8_t, 2> kDisconnect{0xe0, 0x00};

constexpr std::uint8_t kOptionEnd = 0;
constexpr std::uint8_t kOptionNop = 1;
constexpr std::uint8_t kOptionTimestamps = 8;  // RFC 7323 §3.2
constexpr std::size_t kTimestampsBytes = 10;

// The client's timestamps, padded to a multiple of four (RFC 7323 appendix A). Empty if the
// segment had none.
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

bool is_ipv6(const Bytes& packet) {
  return packet[0] >> 4 == 6;
}

template <class Header>
Header header_of(const Bytes& packet) {
  Header header;
  std::memcpy(&header, packet.data(), sizeof(header));
  return header;
}

template <class Header>
void put(Bytes& packet, std::size_t offset, const Header& header) {
  std::memcpy(packet.data() + offset, &header, sizeof(header));
}

struct Flags {
  bool psh = false;
  bool rst = false;
};

// A segment sent by the daemon.
struct Segment {
  Endpoint from;
  Endpoint to;
  std::uint32_t seq;
  std::uint32_t ack;
  Flags flags;
  Bytes options;
  std::span<const std::uint8_t> payload;
  std::uint16_t window = 0xffff;  // without scaling
};

Bytes packet_of(const Segment& segment) {
  const auto& [from, to, seq, ack, flags, options, payload, window] = segment;
  const auto tcp_bytes =
      static_cast<std::uint32_t>(sizeof(tcphdr) + options.size() + payload.size());
  tcphdr tcp{};
  tcp.source = from.port;
  tcp.dest = to.port;
  tcp.seq = host_to_net32(seq);
  tcp.ack_seq = host_to_net32(ack);
  tcp.doff = static_cast<std::uint16_t>((sizeof(tcphdr) + options.size()) / 4) & 0xf;
  tcp.ack = 1;
  tcp.psh = flags.psh;
  tcp.rst = flags.rst;
  tcp.window = host_to_net16(window);

  Bytes packet(tcp_bytes);
  put(packet, 0, tcp);
  std::copy(options.begin(), options.end(), packet.begin() + sizeof(tcp));
  std::copy(payload.begin(), payload.end(),
            packet.end() - static_cast<std::ptrdiff_t>(payload.size()));
  const auto finish = [&](const auto& ip, std::uint32_t pseudo_sum) {
    tcp.check = fold_checksum(sum_bytes(packet) + pseudo_sum);
    put(packet, 0, tcp);
    packet.insert(packet.begin(), sizeof(ip), 0);
    put(packet, 0, ip);
  };
  if (to.address.is_ipv4()) {
    iphdr ip;
    write_ipv4(&ip, IPPROTO_TCP, tcp_bytes, from.address.ipv4(), to.address.ipv4());
    finish(ip, pseudo_sum4(&ip, IPPROTO_TCP, tcp_bytes));
  } else {
    ipv6_header ip;
    write_ipv6(&ip, IPPROTO_TCP, tcp_bytes, &from.address.abi(), &to.address.abi());
    finish(ip, pseudo_sum6(&ip, IPPROTO_TCP, tcp_bytes));
  }
  return packet;
}

Endpoint client_of(const flow_key& flow) {
  return {Address(flow.client), flow.port};
}

// A segment from the client to the service. Its window is 0, so the broker can send nothing more,
// not even its FIN.
Bytes client_segment(const event& head, const Endpoint& service, std::uint32_t seq, Flags flags,
                     std::span<const std::uint8_t> payload) {
  return packet_of({client_of(head.flow), service, seq, head.ack, flags, timestamps_of(head),
                    payload, /*window=*/0});
}

// The timestamps of a reply. It echoes the client's value. Its own value is the one that the client
// has echoed, which is the newest of the broker's that the client knows (RFC 7323 §3.2).
Bytes answered_timestamps(const event& head) {
  constexpr std::size_t kValue = 4, kEcho = 8, kEnd = 12;  // after two NOPs, kind and length
  Bytes options = timestamps_of(head);
  if (options.size() == kEnd) {
    std::swap_ranges(options.begin() + kValue, options.begin() + kEcho, options.begin() + kEcho);
  }
  return options;
}

template <class Headers>
Bytes bytes_of(const Headers& headers) {
  Bytes packet(sizeof(headers));
  put(packet, 0, headers);
  return packet;
}

}  // namespace

Bytes reset_of_client(const Record& record, const Endpoint& service) {
  const rst reset{record.head.flow.client, service.address.abi(), record.head.flow.port,
                  service.port, host_to_net32(record.head.ack)};
  if (service.address.is_ipv4()) {
    ip_tcp headers;
    write_rst4(&headers, &reset);
    return bytes_of(headers);
  }
  ipv6_tcp headers;
  write_rst6(&headers, &reset);
  return bytes_of(headers);
}

Bytes farewell_to_client(const Record& record, const Endpoint& service, std::uint8_t reason) {
  const std::array<std::uint8_t, 3> disconnect{0xe0, 0x01, reason};
  const event& head = record.head;
  return packet_of({service,
                    client_of(head.flow),
                    head.ack,
                    head.seq,
                    {.psh = true},
                    answered_timestamps(head),
                    disconnect});
}

Bytes old_byte_to_client(const flow_key& key, const Endpoint& service, const flow& entry) {
  constexpr std::array<std::uint8_t, 1> kByte{};
  constexpr std::uint32_t kNeverSent = 1U << 30;
  // Two back: the byte ends before the next one that the client expects, so outside its window.
  return packet_of({service,
                    client_of(key),
                    entry.acked - 2,
                    entry.edge + kNeverSent,
                    {.psh = true},
                    {},
                    kByte});
}

std::vector<Bytes> questions_to_client(const flow_key& flow, const Endpoint& service,
                                       std::uint32_t next) {
  constexpr std::uint32_t kHalf = 0x80000000;
  std::vector<Bytes> packets;
  for (const std::uint32_t seq : {next, next + kHalf}) {
    packets.push_back(packet_of({service, client_of(flow), seq, next, {}, {}, {}}));
  }
  return packets;
}

SessionEnd possible_end(const Record& record) {
  const bool whole = (record.head.flags & EVENT_BEGAN_EARLIER) == 0 &&
                     record.head.publish_offset <= record.data.size();
  return whole ? SessionEnd::kDisconnect : SessionEnd::kReset;
}

SessionEnding end_of_session(const Record& record, const Endpoint& service, SessionEnd end) {
  const event& head = record.head;
  SessionEnding ending;
  std::uint32_t next = head.seq;
  if (end == SessionEnd::kDisconnect && possible_end(record) == SessionEnd::kDisconnect) {
    const auto good = record.data.first(head.publish_offset);
    Bytes payload(good.begin(), good.end());
    payload.insert(payload.end(), kDisconnect.begin(), kDisconnect.end());
    ending.disconnect = client_segment(head, service, next, {.psh = true}, payload);
    next += static_cast<std::uint32_t>(payload.size());
  }
  ending.reset = client_segment(head, service, next, {.rst = true}, {});
  return ending;
}

Bytes encapsulated(const Bytes& packet, const flow_key& flow, const Address& source,
                   const Address& real) {
  const inner inside{.client = flow.client.word[3],
                     .port = flow.port,
                     .len = static_cast<__u16>(packet.size()),
                     .tos = 0};
  const std::uint8_t protocol = is_ipv6(packet) ? IPPROTO_IPV6 : IPPROTO_IPIP;
  Bytes sent;
  if (real.is_ipv4()) {
    iphdr outer;
    const __be32 to = real.ipv4();
    write_outer4(&outer, &inside, source.is_unspecified() ? 0 : source.ipv4(), &to);
    if (protocol != outer.protocol) {  // the forwarder does not put IPv6 into IPv4
      outer.protocol = protocol;
      outer.check = 0;
      outer.check = fold_checksum(sum_words(&outer, sizeof(outer) / 2));
    }
    sent = bytes_of(outer);
  } else {
    ipv6_header outer;
    write_outer6(&outer, protocol, &inside, &source.abi(), real.abi().word);
    sent = bytes_of(outer);
  }
  sent.insert(sent.end(), packet.begin(), packet.end());
  return sent;
}

Bytes reset_of(const Endpoint& from, const Endpoint& to) {
  return packet_of({from, to, 0, 0, {.rst = true}, {}, {}});
}

Bytes readdressed(Bytes packet, const Address& vip) {
  if (is_ipv6(packet)) {
    auto ip = header_of<ipv6_header>(packet);
    ip.destination = vip.abi();
    put(packet, 0, ip);
  } else {
    auto ip = header_of<iphdr>(packet);
    readdress_ipv4(&ip, vip.ipv4());
    put(packet, 0, ip);
  }
  return packet;
}

Address destination_of(const Bytes& packet) {
  return is_ipv6(packet) ? Address(header_of<ipv6_header>(packet).destination)
                         : Address::from_ipv4(header_of<iphdr>(packet).daddr);
}

}  // namespace remora
