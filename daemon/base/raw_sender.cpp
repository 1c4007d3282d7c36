// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/raw_sender.h"

#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "daemon/base/socket_address.h"

namespace remora {
namespace {

// With IPPROTO_RAW the caller provides the IP header (raw(7)), also for IPv6.
Fd raw_socket(int family) {
  Fd socket(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  if (!socket && errno != EAFNOSUPPORT) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot open a raw socket (run as root or with CAP_NET_RAW)");
  }
  return socket;
}

}  // namespace

RawSender::RawSender() : socket4_(raw_socket(AF_INET)), socket6_(raw_socket(AF_INET6)) {}

bool RawSender::send(std::span<const std::uint8_t> packet, const Address& to) const {
  const SocketAddress receiver(to);
  const Fd& socket = to.is_ipv4() ? socket4_ : socket6_;
  errno = EAFNOSUPPORT;  // for a socket that does not exist
  return socket && sendto(socket.get(), packet.data(), packet.size(), 0, receiver.get(),
                          receiver.size()) >= 0;
}

}  // namespace remora
