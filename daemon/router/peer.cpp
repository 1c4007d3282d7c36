// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/peer.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "bpf/parse.h"
#include "daemon/base/socket_address.h"

namespace remora::router {
namespace {

bool is_passing(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

// Ranges for one system call. Small ones that follow each other are copied into one, which costs
// less than handing each to the kernel.
class Batch {
 public:
  // Returns false if there is no room for it.
  bool add(ByteView range) {
    const bool is_copied = range.size() <= kSmall && copied_ + range.size() <= copies_.size();
    if (!is_copied || !ends_with_copy_) {
      if (count_ == parts_.size()) return false;
      void* from = is_copied ? copies_.data() + copied_ : const_cast<std::uint8_t*>(range.data());
      parts_[count_++] = {from, 0};
    }
    if (is_copied) {
      std::memcpy(copies_.data() + copied_, range.data(), range.size());
      copied_ += range.size();
    }
    ends_with_copy_ = is_copied;
    parts_[count_ - 1].iov_len += range.size();
    size_ += range.size();
    return true;
  }

  ssize_t send_to(int fd) {
    if (count_ == 1) return ::send(fd, parts_[0].iov_base, size_, MSG_NOSIGNAL);
    msghdr message{};
    message.msg_iov = parts_.data();
    message.msg_iovlen = count_;
    return ::sendmsg(fd, &message, MSG_NOSIGNAL);
  }

  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kSmall = 1024;

  std::array<iovec, 64> parts_;  // the first `count_`
  std::array<std::uint8_t, std::size_t{32} * 1024> copies_;
  std::size_t count_ = 0;
  std::size_t copied_ = 0;
  std::size_t size_ = 0;
  bool ends_with_copy_ = false;
};

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

std::optional<std::size_t> Peer::read(std::span<std::uint8_t> room) {
  const ssize_t count = ::recv(socket_.get(), room.data(), room.size(), 0);
  if (count > 0) return static_cast<std::size_t>(count);
  if (count < 0 && is_passing(errno)) return 0;
  has_ended_ = true;
  return std::nullopt;
}

std::optional<std::size_t> Peer::write(const std::vector<ByteView>& ranges) const {
  std::size_t written = 0;
  for (auto rest = std::span(ranges); !rest.empty();) {
    Batch batch;
    while (!rest.empty() && batch.add(rest.front())) rest = rest.subspan(1);
    const ssize_t result = batch.send_to(socket_.get());
    if (result < 0 && !is_passing(errno)) return std::nullopt;
    if (result > 0) written += static_cast<std::size_t>(result);
    if (result < 0 || static_cast<std::size_t>(result) < batch.size()) break;
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
