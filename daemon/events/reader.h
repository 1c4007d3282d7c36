// SPDX-License-Identifier: Apache-2.0
//
// Passes each record that the kernel reports to its handler, on the loop's thread.
//
// The ring buffer is one more descriptor of the loop: nothing polls, nothing blocks, and no lock is
// needed. Records that were written while no daemon ran come first.
//
// A record stays in the ring until the history has committed it, so that a killed daemon loses
// none: the next one reads it again. But a failing disk must not fill the ring, so a record is kept
// for a second at most, and not beyond half of the ring.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "daemon/base/event_loop.h"
#include "daemon/base/fd.h"
#include "daemon/kernel/event_ring.h"
#include "daemon/packets/record.h"

namespace remora {

// Where a record lies in the ring. Positions grow, also from one daemon to the next. 0 and 0 mean
// that it is not from this ring.
struct RecordPlace {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class EventReader {
 public:
  using Handler = std::function<void(const Record&, RecordPlace)>;

  // Reads from the ring `map_fd` until destroyed. `loop` must outlive the reader. Throws
  // std::system_error if the ring cannot be mapped.
  EventReader(EventLoop& loop, int map_fd, Handler on_record);

  // Reads all records that are there.
  void drain();
  // Reads at most one turn of the records that are there; the loop goes on with the rest.
  void look();

  // Passes on a record that is not from this ring.
  void take(const void* bytes, std::size_t size);

  // Position after the last record that was passed on.
  std::uint64_t read_to() const { return ring_.read_to(); }
  // Called often: releases the records up to `committed`, and those that were kept for too long.
  void release(std::uint64_t committed, std::uint64_t now_ns);

  // Number of records that were left out because the programs cannot have written them so.
  std::uint64_t malformed() const { return malformed_; }

 private:
  // Number of records before the loop's other work gets its turn.
  static constexpr int kTurn = 1024;
  static constexpr std::uint64_t kKeptNs = 1'000'000'000;

  void on_readable();
  bool read_some();
  void watch(int operation) const;

  // How far the ring had been read at a time.
  struct Look {
    std::uint64_t at_ns;
    std::uint64_t read_to;
  };

  const Handler on_record_;
  const int map_fd_;
  EventRing ring_;
  Fd edges_;                // an epoll instance, readable when a record has been written
  std::deque<Look> looks_;  // the oldest first
  std::uint64_t malformed_ = 0;
};

}  // namespace remora
