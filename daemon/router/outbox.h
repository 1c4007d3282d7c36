// SPDX-License-Identifier: Apache-2.0
//
// Bytes on their way to one peer: ranges of the buffer that was just read, and what an earlier
// write has left over.
//
// The common case copies nothing: ranges are appended, written with one writev(), and gone.
// settle() copies what was not written, before the buffer is used again. It starts at the packet
// that the writes have cut, so that another peer can get that packet whole.
#pragma once

#include <vector>

#include "daemon/router/byte_queue.h"

namespace remora::router {

class Outbox {
 public:
  // What must not be cut when bytes are sent again.
  enum class Unit { kPacket, kByte };

  explicit Outbox(Unit unit) : unit_(unit) {}

  // `bytes` must stay as they are until settle().
  void append(ByteView bytes);
  void append_copy(ByteView bytes);

  // The bytes to write, in this order. Valid until the next call that changes the outbox.
  const std::vector<ByteView>& ranges();
  // The next `count` bytes have been written.
  void wrote(std::size_t count) { written_ += count; }
  std::size_t unwritten() const { return size_ - written_; }

  // Copies what is left over. `open`: bytes that the last packet still lacks.
  void settle(std::size_t open);

  // Packets of which the peer has not got all, in order; to be called after settle(). The last
  // one may lack bytes. A packet whose beginning was written and not kept is left out.
  ByteView unsent() const;
  // Bytes still to come that complete a packet which unsent() left out.
  std::size_t lost() const { return cut_; }

  std::size_t owned() const { return copies_.size(); }
  void clear();

 private:
  // A range: of `copies_` at `offset`, unless it is borrowed.
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
  bool is_behind_ = false;  // the peer has not taken all that it was offered
};

}  // namespace remora::router
