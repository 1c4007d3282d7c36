// SPDX-License-Identifier: Apache-2.0
//
// Builds the packets that end a mispredicted connection.
//
// Pure: takes a record of the ring and returns packets for a raw socket, of the connection's
// family. Addresses and ports are in network byte order, sequence
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

// The RST to the client, sent as the service. Its sequence number is the one that the client has
// acknowledged (RFC 5961 §3.2).
Bytes reset_of_client(const Record& record, const Endpoint& service);

// A RST that belongs to no connection: sequence number 0.
Bytes reset_of(const Endpoint& from, const Endpoint& to);

// Sent as the service to an MQTT 5 client: DISCONNECT with a reason such as 0x9C, "use another
// server" (MQTT 5.0 §3.14.2.1), after the bytes that the client has acknowledged. Only for a client
// to which no bytes of the broker are in flight, because they would have the same numbers.
Bytes farewell_to_client(const Record& record, const Endpoint& service, std::uint8_t reason);

// Sent as the service: a byte that the client acknowledged long ago. The client answers it with an
// ACK (RFC 9293 §3.10.7.4), at once and each time. After 4 GiB more the number may be a new one; so
// that the segment is discarded then, it acknowledges bytes that the client has not sent. Only for
// a flow whose `acked` is known.
Bytes old_byte_to_client(const flow_key& key, const Endpoint& service, const flow& entry);

// Sent as the service: two ACKs 2³¹ apart, so that one is outside the client's window. The client
// answers that one with an ACK (RFC 9293 §3.10.7.4). `next` is the number that the client sends
// next. Linux answers one such question in half a second.
std::vector<Bytes> questions_to_client(const flow_key& flow, const Endpoint& service,
                                       std::uint32_t next);

// How the session at the wrong broker can be ended. DISCONNECT is possible only if the
// mispredicted PUBLISH begins in the record's segment and all bytes before it are in the
// record: DISCONNECT must be the next thing that the broker expects.
SessionEnd possible_end(const Record& record);

// The packets that end the session at the wrong broker, sent as the client.
struct SessionEnding {
  // The bytes before the mispredicted PUBLISH, which are good messages, then DISCONNECT: after it
  // no Will is published (MQTT 3.1.1 §3.14). Its window is 0, so the broker can send neither
  // answers nor its FIN. No value if the session can only be reset.
  std::optional<Bytes> disconnect;
  // To be sent after the broker has read that. A RST before that would make the broker's next
  // answer fail, and a broker whose answer fails publishes the Will and drops everything it has not
  // read.
  Bytes reset;
};
SessionEnding end_of_session(const Record& record, const Endpoint& service, SessionEnd end);

// Puts a packet of that flow into the forwarder's outer header (bpf/outer.h), whose family is that
// of `real` (RFC 2003, RFC 2473). `source` is of the same family; `::` stands for Katran's source,
// which varies with the flow.
Bytes encapsulated(const Bytes& packet, const flow_key& flow, const Address& source,
                   const Address& real);

// The packet addressed to a VIP of its family. The TCP checksum stays that of the service.
Bytes readdressed(Bytes packet, const Address& vip);

// The destination in the packet's first header.
Address destination_of(const Bytes& packet);

}  // namespace remora
