// SPDX-License-Identifier: Apache-2.0
#include "daemon/health/tcp_prober.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

#include "bpf/parse.h"
#include "daemon/base/callback.h"
#include "daemon/base/socket_address.h"

namespace remora {
namespace {

CheckResult result_of(int error) {
  return error == 0 ? CheckResult{true, "connected"} : CheckResult{false, std::strerror(error)};
}

// This host's end of a connection; empty if the kernel does not tell.
std::optional<Endpoint> local_end(const Fd& socket) {
  sockaddr_in6 name{};  // long enough for both families
  socklen_t size = sizeof(name);
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0)
    return std::nullopt;
  if (name.sin6_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(name);
    return Endpoint{Address::from_ipv4(ipv4.sin_addr.s_addr), ipv4.sin_port};
  }
  address words{};
  std::memcpy(&words, &name.sin6_addr, sizeof(words));
  return Endpoint{Address(words), name.sin6_port};
}

}  // namespace

struct TcpProber::Attempt {
  TcpProber& prober;
  std::uint64_t id;
  Endpoint to;
  Fd socket;
  EventHandle done;  // freed before its socket
};

TcpProber::TcpProber(const EventLoop& loop, Handler on_result, HasLeft has_left)
    : loop_(loop), on_result_(std::move(on_result)), has_left_(std::move(has_left)) {}

TcpProber::~TcpProber() = default;

void TcpProber::start(std::uint64_t id, const Endpoint& to) {
  const SocketAddress address(to.address, net_to_host16(to.port));
  auto attempt = std::make_unique<Attempt>(Attempt{*this, id, to, Fd(), nullptr});
  attempt->socket = Fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = attempt->socket.get();
  const bool failed =
      fd < 0 || (connect(fd, address.get(), address.size()) != 0 && errno != EINPROGRESS);
  const int error = failed ? errno : 0;
  if (failed) {
    // It fails at once: this host lacks descriptors, ports, memory or a route, and sends nothing.
    CheckResult result = result_of(error);
    result.is_local = error != ECONNREFUSED;
    on_result_(id, std::move(result));
    return;
  }
  const auto trampoline = [](evutil_socket_t, short, void* argument) {
    const auto* self = static_cast<const Attempt*>(argument);
    guarded("end of a TCP check", [&] { self->prober.finish(self->id); });
  };
  attempt->done.reset(event_new(loop_.base(), fd, EV_WRITE, trampoline, attempt.get()));
  if (!attempt->done || event_add(attempt->done.get(), nullptr) != 0) {
    throw std::runtime_error("cannot watch the socket of a TCP check");
  }
  attempts_.emplace(id, std::move(attempt));
}

void TcpProber::finish(std::uint64_t id) {
  const auto found = attempts_.find(id);
  if (found == attempts_.end()) return;
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(found->second->socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
    error = errno;
  }
  attempts_.erase(found);
  on_result_(id, result_of(error));
}

bool TcpProber::has_left(std::uint64_t id) const {
  const auto found = attempts_.find(id);
  if (found == attempts_.end()) return true;
  const auto local = local_end(found->second->socket);
  return !local || has_left_(*local, found->second->to);
}

void TcpProber::end(std::uint64_t id) {
  attempts_.erase(id);
}

}  // namespace remora
