// SPDX-License-Identifier: Apache-2.0
//
// The packets with which a mispredicted connection is ended, as bytes.
//
// Pure: a ring record goes in, packets for a raw socket come out, IPv4 or IPv6 as
// the connection is. Addresses and ports are in network byte order, sequence
// numbers in host order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "bpf/abi.h"
#include "daemon/base/endpoint.h"
#include "daemon/config/config.h"
#include "daemon/packets/record.h"

namespace remora {

using Bytes = std::vector<std::uint8_t>;

// The RST to the client, as the service: its sequence number is what the client
// acknowledged (RFC 5961 §3.2).
Bytes reset_of_client(const Record& record, const Endpoint& service);

// Of no connection in particular: sequence number 0.
Bytes reset_of(const Endpoint& from, const Endpoint& to);

// As the service, to an MQTT 5 client: DISCONNECT with a reason such as 0x9C, "use
// another server" (MQTT 5.0 §3.14.2.1), behind what the client acknowledged. Only for one to
// which no bytes of the broker are under way, with which it would clash.
Bytes farewell_to_client(const Record& record, const Endpoint& service, std::uint8_t reason);

// As the service: ACKs whose sequence numbers mean nothing. A client answers one
// outside of its window with an ACK of its own (RFC 9293 §3.10.7.4); of two that are
// half of the numbers apart one is. `next`: what the client sends next.
std::vector<Bytes> questions_to_client(const flow_key& flow, const Endpoint& service,
                                       std::uint32_t next);

// How the session at the wrong broker can be ended: with DISCONNECT only when
// the mispredicted PUBLISH begins in the record's segment and what stands in
// front of it is there, because its bytes must be the next that the broker
// expects.
SessionEnd possible_end(const Record& record);

// The packets that end the session at the wrong broker, sent as the client.
struct SessionEnding {
  // The bytes before the mispredicted PUBLISH, which are good messages, then DISCONNECT: no
  // Will is published after it (MQTT 3.1.1 §3.14). Its window is 0, so the broker can send
  // neither answers nor its FIN. Nothing where the session can only be reset.
  std::optional<Bytes> disconnect;
  // To be sent after the broker has read that: a reset socket fails the broker's next answer,
  // and a broker that fails to answer publishes the Will and drops what it has not read.
  Bytes reset;
};
SessionEnding end_of_session(const Record& record, const Endpoint& service, SessionEnd end);

// The source of the outer header to an IPv6 real that Katran gives a flow, where
// the configuration names none: of 100::/64 (RFC 6666), different for each flow.
Address katran_source6(const flow_key& flow);

// Puts an outer header in front of an inner packet: of `real`'s family, whatever
// the inner one is (RFC 2003, RFC 2473). `source` is of that family; `::`, for
// an IPv4 real only: the kernel puts its own in (raw(7)).
Bytes encapsulated(const Bytes& inner, const Address& source, const Address& real);

// The packet, addressed to a VIP of its family. TCP's checksum stays that of the service.
Bytes readdressed(Bytes packet, const Address& vip);

// Where a packet goes: the destination in its first header.
Address destination_of(const Bytes& packet);

}  // namespace remora
