// SPDX-License-Identifier: Apache-2.0
//
// A client's CONNECT (§3.1): whether a stream begins with one, its fields, and the CONNECT for a
// further session of the same client.
//
// Pure: the views point into the bytes that were handed in.
#pragma once

#include <optional>
#include <string_view>

#include "daemon/mqtt/packet.h"

namespace remora::mqtt {

// The beginning of a stream, as far as it tells the protocol.
struct Beginning {
  enum class Kind {
    kOpen,     // more bytes are needed
    kConnect,  // a CONNECT of `packet` bytes, whose protocol name has been read
    kOther,    // not MQTT, or an unknown version
  };
  Kind kind;
  std::size_t packet = 0;  // header included; 0: not known yet
};
Beginning beginning_of(ByteView stream);

struct Connect {
  Version version;
  std::uint8_t level;  // as sent: bridges set the highest bit
  std::uint8_t flags;
  std::uint16_t keep_alive_s;
  ByteView properties;
  std::string_view client_id;
  ByteView credentials;  // user name and password, if present, with their lengths

  // From the properties of MQTT 5.
  std::uint32_t session_expiry_s = 0;
  bool has_authentication_method = false;

  bool has_will() const { return (flags & 0x04) != 0; }
  bool is_clean() const { return (flags & 0x02) != 0; }
  // Whether the broker keeps the session when the connection ends, or has kept an earlier one.
  bool is_persistent() const { return !is_clean() || session_expiry_s != 0; }
};

// The fields of a whole CONNECT; no value if it is malformed.
std::optional<Connect> parse_connect(ByteView packet);

// The CONNECT for a further session: the same credentials, but the session begins and ends with the
// connection, and has no Will and no topic aliases from the broker.
Bytes further_connect(const Connect& connect, std::string_view client_id);

}  // namespace remora::mqtt
