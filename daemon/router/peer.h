// SPDX-License-Identifier: Apache-2.0
//
// The socket of a client or a broker: read into a shared buffer, written with one call for many
// ranges.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "daemon/base/endpoint.h"
#include "daemon/base/fd.h"
#include "daemon/router/byte_queue.h"
#include "daemon/router/watch.h"

namespace remora::router {

class Peer {
 public:
  // `socket` must not block. If not `is_open`, it is still connecting.
  Peer(event_base* base, Fd socket, bool is_open, const Watch::Callback& on_readable,
       const Watch::Callback& on_writable);

  // Starts to connect, from an address of this host if one is given. Nothing if that fails at once.
  static std::optional<Fd> connecting(const Endpoint& to, const std::optional<Address>& from);

  // Call this when the socket is writable for the first time: returns whether it is connected.
  bool finish_connecting();
  bool is_open() const { return is_open_; }
  // Whether read() has found the end.
  bool has_ended() const { return has_ended_; }

  // Reads up to the size of `room`. No value if the peer has closed or the connection has failed; 0
  // if there is nothing to read.
  std::optional<std::size_t> read(std::span<std::uint8_t> room);
  // Writes in the same way, and stops when the socket takes no more.
  std::optional<std::size_t> write(const std::vector<ByteView>& ranges) const;

  void want(bool to_read, bool to_write);

  // Hands over the socket to somebody who goes on with it.
  Fd release();

 private:
  Fd socket_;
  bool is_open_;
  bool has_ended_ = false;
  Watch readable_;  // freed before the socket
  Watch writable_;
};

}  // namespace remora::router
