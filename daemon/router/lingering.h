// SPDX-License-Identifier: Apache-2.0
//
// Sockets that are no longer needed, until their peers have read the last bytes and closed.
//
// Closing a socket with unread bytes resets the connection, and the peer may lose bytes that it has
// not read yet. So each socket is shut down for writing, and read until its peer closes it, but not
// for ever.
#pragma once

#include <list>
#include <memory>
#include <span>

#include "daemon/base/fd.h"
#include "daemon/router/options.h"
#include "daemon/router/watch.h"

namespace remora::router {

class Lingering {
 public:
  // `buffer` is for bytes that are thrown away. It and `base` must outlive this object.
  Lingering(event_base* base, std::span<std::uint8_t> buffer) : base_(base), buffer_(buffer) {}

  void add(Fd socket, Time now);
  // Closes the sockets that have waited too long.
  void tick(Time now);

 private:
  struct Entry {
    Fd socket;
    Time since;
    bool is_done = false;
    std::unique_ptr<Watch> readable;  // freed before the socket
  };

  void drain(Entry& entry);

  event_base* base_;
  std::span<std::uint8_t> buffer_;
  std::list<Entry> entries_;
};

}  // namespace remora::router
