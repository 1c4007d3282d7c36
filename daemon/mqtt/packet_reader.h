// SPDX-License-Identifier: Apache-2.0
//
// Cuts one direction of an MQTT stream into packets as the bytes come.
//
// The reader does not wait for the payload of a PUBLISH: it returns at once the part that has
// arrived. It returns all other packets whole. It copies only a packet, or the head of a PUBLISH,
// that lies across two reads; everything else is a view of the input.
//
// Pure and bounded: it keeps at most `longest` bytes. Malformed input is an outcome, with the
// reason code that the standard gives it.
#pragma once

#include <optional>

#include "daemon/mqtt/packet.h"

namespace remora::mqtt {

enum class Sender { kClient, kBroker };

// The next part of the stream.
struct Part {
  enum class Kind {
    kPacket,   // a whole packet other than PUBLISH
    kPublish,  // a PUBLISH: its head, and the part of its payload that is in the input
    kPayload,  // more of that payload
  };
  Kind kind;
  std::uint8_t first_byte;  // of the packet
  ByteView bytes;           // valid until the next call, or as long as the input if `is_input`
  bool is_input;            // whether `bytes` is a view of the input
  std::uint32_t header;     // bytes of the fixed header; 0 with kPayload
  std::uint32_t head;       // bytes before the payload; 0 unless kPublish
  std::uint32_t left;       // bytes of the packet that follow `bytes`

  Type type() const { return type_of(first_byte); }
  ByteView body() const { return bytes.subspan(header); }
};

// Bytes of the packet at the front, header included. The header must be complete and valid.
std::size_t packet_size(ByteView front);

class PacketReader {
 public:
  PacketReader(Sender sender, std::size_t longest) : sender_(sender), longest_(longest) {}

  // Sets the version of the CONNECT, which the reader does not parse. 3.1.1 until then.
  void set_version(Version version) { version_ = version; }

  // Takes the next part from the front of `input`. No value if the input is used up or the stream
  // is malformed.
  std::optional<Part> next(ByteView& input);

  // The reason why the reader cannot go on.
  std::optional<Reason> problem() const { return problem_; }
  std::size_t kept_bytes() const { return kept_.size(); }
  // Whether the next byte begins a packet.
  bool is_between_packets() const {
    return payload_left_ == 0 && (kept_.empty() || kept_is_used_) && !problem_;
  }

 private:
  // The packet at the front, as far as it is known.
  struct Extent {
    std::size_t wanted = 0;  // bytes needed to know more, or to return the part
    bool complete = false;   // whether `wanted` bytes are enough to return the part
    std::uint32_t header = 0;
    std::uint32_t head = 0;  // 0 if it is not a PUBLISH
    std::size_t packet = 0;  // header included
  };

  Extent measure(ByteView front);
  Extent measure_publish(ByteView front, Extent extent);
  Extent refuse(Reason reason);
  bool may_send(std::uint8_t first_byte) const;
  Part hand_out(const Extent& extent, ByteView bytes, bool is_input);

  Sender sender_;
  std::size_t longest_;
  Version version_ = Version::k311;
  Bytes kept_;  // the beginning of a packet that lies across two reads
  bool kept_is_used_ = false;
  std::uint8_t first_byte_ = 0;
  std::uint32_t payload_left_ = 0;
  std::optional<Reason> problem_;
};

}  // namespace remora::mqtt
