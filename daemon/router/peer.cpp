// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/peer.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "bpf/parse.h"
#include "daemon/base/socket_address.h"

namespace remora::router {
namespace {

constexpr std::size_t kRanges = 64;  // per write

bool is_passing(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

// Sends bytes as soon as they are written (TCP_NODELAY); ranges combine small ones.
void send_at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

Peer::Peer(event_base* base, Fd socket, bool is_open, const Watch::Callback& on_readable,
           const Watch::Callback& on_writable)
    : socket_(std::move(socket)),
      is_open_(is_open),
      readable_(base, socket_.get(), EV_READ, on_readable),
      writable_(base, socket_.get(), EV_WRITE, on_writable) {
  send_at_once(socket_.get());
}

std::optional<Fd> Peer::connecting(const Endpoint& to, const std::optional<Address>& from) {
  const SocketAddress address(to.address, net_to_host16(to.port));
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::nullopt;
  if (from) {
    // The port is chosen by connect(), so that one can serve connections to several brokers.
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    const SocketAddress source(*from);
    if (bind(fd.get(), source.get(), source.size()) != 0) return std::nullopt;
  }
  if (connect(fd.get(), address.get(), address.size()) != 0 && errno != EINPROGRESS) {
    return std::nullopt;
  }
  return fd;
}

bool Peer::finish_connecting() {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  is_open_ = error == 0;
  return is_open_;
}

std::optional<std::size_t> Peer::read(std::span<std::uint8_t> room) const {
  const ssize_t count = ::read(socket_.get(), room.data(), room.size());
  if (count > 0) return static_cast<std::size_t>(count);
  if (count < 0 && is_passing(errno)) return 0;
  return std::nullopt;
}

std::optional<std::size_t> Peer::write(const std::vector<ByteView>& ranges) const {
  std::size_t written = 0;
  for (std::size_t next = 0; next < ranges.size();) {
    std::array<iovec, kRanges> parts{};
    std::size_t count = 0;
    std::size_t offered = 0;
    for (; count < kRanges && next < ranges.size(); ++count, ++next) {
      const ByteView range = ranges[next];
      parts[count] = {const_cast<std::uint8_t*>(range.data()), range.size()};
      offered += range.size();
    }
    const ssize_t result = ::writev(socket_.get(), parts.data(), static_cast<int>(count));
    if (result < 0 && !is_passing(errno)) return std::nullopt;
    if (result > 0) written += static_cast<std::size_t>(result);
    if (result < 0 || static_cast<std::size_t>(result) < offered) break;
  }
  return written;
}

void Peer::want(bool to_read, bool to_write) {
  readable_.set(to_read && is_open_);
  writable_.set(to_write || !is_open_);
}

Fd Peer::release() {
  readable_.set(false);
  writable_.set(false);
  return std::move(socket_);
}

}  // namespace remora::router
