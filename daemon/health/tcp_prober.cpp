// SPDX-License-Identifier: Apache-2.0
#include "daemon/health/tcp_prober.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
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

}  // namespace

struct TcpProber::Attempt {
  TcpProber& prober;
  std::uint64_t id;
  Fd socket;
  EventHandle done;  // freed before its socket
};

TcpProber::TcpProber(const EventLoop& loop, Handler on_result)
    : loop_(loop), on_result_(std::move(on_result)) {}

TcpProber::~TcpProber() = default;

void TcpProber::start(std::uint64_t id, const Endpoint& to) {
  const SocketAddress address(to.address, net_to_host16(to.port));
  auto attempt = std::make_unique<Attempt>(Attempt{*this, id, Fd(), nullptr});
  attempt->socket = Fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = attempt->socket.get();
  const bool failed =
      fd < 0 || (connect(fd, address.get(), address.size()) != 0 && errno != EINPROGRESS);
  const int error = failed ? errno : 0;
  if (failed) {
    // What fails at once has not left this host: no descriptors, ports, memory or route are left.
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

void TcpProber::end(std::uint64_t id) {
  attempts_.erase(id);
}

}  // namespace remora
