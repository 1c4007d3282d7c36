// SPDX-License-Identifier: Apache-2.0
//
// Bytes on their way to one peer: ranges of the buffer that was just read, and the rest of earlier
// writes.
//
// Usually nothing is copied: ranges are appended, written with one writev(), and gone. Before the
// buffer is used again, settle() copies the bytes that were not written. The copy starts at the
// packet that the writes have cut, so that another peer can get this packet whole.
#pragma once

#include <vector>

#include "daemon/router/byte_queue.h"

namespace remora::router {

class Outbox {
 public:
  // The unit that must stay whole when bytes are sent again.
  enum class Unit { kPacket, kByte };

  explicit Outbox(Unit unit) : unit_(unit) {}

  // `bytes` must stay as they are until settle().
  void append(ByteView bytes);
  void append_copy(ByteView bytes);

  // The bytes to write, in order. Valid until the next call that changes the outbox.
  const std::vector<ByteView>& ranges();
  // Call this when the next `count` bytes have been written.
  void wrote(std::size_t count) { written_ += count; }
  std::size_t unwritten() const { return size_ - written_; }

  // Copies the rest. `open` is the number of bytes that the last packet still lacks.
  void settle(std::size_t open);

  // Packets that the peer has not got completely, in order; call this after settle(). The last one
  // may lack bytes. A packet whose beginning was written but not kept is left out.
  ByteView unsent() const;
  // Number of bytes still to come that belong to a packet which unsent() left out.
  std::size_t lost() const { return cut_; }

  std::size_t owned() const { return copies_.size(); }
  void clear();

 private:
  // A range of borrowed memory, or of `copies_` at `offset`.
  struct Range {
    const std::uint8_t* borrowed;
    std::size_t offset;
    std::size_t size;
  };

  ByteView view_of(const Range& range) const;
  Bytes from(std::size_t offset) const;
  std::size_t start_of_cut_packet(const Bytes& bytes) const;

  Unit unit_;
  std::vector<Range> ranges_;
  std::vector<ByteView> views_;
  Bytes copies_;
  std::size_t size_ = 0;
  std::size_t written_ = 0;
  std::size_t cut_ = 0;     // bytes before the first whole packet
  bool is_behind_ = false;  // the peer has not taken all bytes offered
};

}  // namespace remora::router
