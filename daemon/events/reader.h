// SPDX-License-Identifier: Apache-2.0
//
// Hands each record that the kernel reports to its handler, on the loop's thread.
//
// The ring buffer is one more descriptor of the loop: nothing polls, nothing
// blocks, and no lock is needed. Records that were written while no daemon ran
// are handed over first.
#pragma once

#include <cstdint>
#include <functional>

#include "daemon/base/event_loop.h"
#include "daemon/packets/record.h"

namespace remora {

class EventReader {
 public:
  using Handler = std::function<void(const Record&)>;

  // Reads from the ring `map_fd` until destroyed. `loop` must outlive the
  // reader. Throws std::system_error when the ring cannot be mapped.
  EventReader(EventLoop& loop, int map_fd, Handler on_record);

  // Reads all that is there.
  void drain();

  // Hands over a record that is not from this ring.
  void take(const void* bytes, std::size_t size);

  // Records that nobody can have written so, left out.
  std::uint64_t malformed() const { return malformed_; }

 private:
  // So many records before the loop's other work gets its turn.
  static constexpr int kTurn = 1024;

  void read_some();

  Handler on_record_;
  int left_in_turn_ = kTurn;
  std::uint64_t malformed_ = 0;
  RingBufferHandle ring_;  // calls the handler: destroyed before it
};

}  // namespace remora
