// SPDX-License-Identifier: Apache-2.0
//
// The packets with which a mispredicted connection is ended, as bytes.
//
// Pure: a ring record goes in, packets for a raw socket come out. Addresses and
// ports are in network byte order, sequence numbers in host order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "bpf/abi.h"
#include "daemon/config.h"

namespace remora {

using Bytes = std::vector<std::uint8_t>;

// A record of the ring with what follows it.
struct Record {
  event head;
  std::span<const std::uint8_t> data;  // `head.data_len` bytes

  std::span<const std::uint8_t> topic() const {
    return data.subspan(head.topic_offset, head.topic_len);
  }
};

struct Endpoint {
  Address address;
  __be16 port;
};

// The RST to the client, as the service: its sequence number is what the client
// acknowledged (RFC 5961 §3.2). An IPv4 packet.
Bytes reset_of_client(const Record& record, const Endpoint& service);

// How the session at the wrong broker can be ended: with DISCONNECT only when
// the mispredicted PUBLISH begins in the record's segment and what stands in
// front of it is there, because its bytes must be the next that the broker
// expects.
SessionEnd possible_end(const Record& record);

// The packets that end the session at the wrong broker, as the client; each an
// inner IPv4 packet, in the order in which they are to arrive. The bytes in
// front of the mispredicted PUBLISH are good messages and are delivered.
std::vector<Bytes> end_of_session(const Record& record, const Endpoint& service, SessionEnd end);

// Puts an outer header for `real` in front of an inner packet (RFC 2003).
Bytes encapsulated(const Bytes& inner, const Address& real);

}  // namespace remora
