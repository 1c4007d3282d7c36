// SPDX-License-Identifier: Apache-2.0
#include "tests/router/loopback_broker.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "daemon/base/socket_address.h"

namespace remora {
namespace {

constexpr int kPollMs = 20;

void require(bool holds, const char* what) {
  if (!holds) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Fd loopback_listener(int backlog) {
  const SocketAddress any(*Address::parse("127.0.0.1"));
  Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  require(bind(listener.get(), any.get(), any.size()) == 0, "bind");
  require(listen(listener.get(), backlog) == 0, "listen");
  return listener;
}

Endpoint endpoint_of(const Fd& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  require(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0,
          "getsockname");
  return {Address::from_ipv4(address.sin_addr.s_addr), address.sin_port};
}

Fd connect_to(const Endpoint& endpoint) {
  const SocketAddress address(endpoint.address, ntohs(endpoint.port));
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(connect(socket.get(), address.get(), address.size()) == 0, "connect");
  return socket;
}

LoopbackBroker::LoopbackBroker()
    : listener_(loopback_listener()), endpoint_(endpoint_of(listener_)) {
  thread_ = std::thread([this] { serve(); });
}

LoopbackBroker::~LoopbackBroker() {
  stops_ = true;
  thread_.join();
}

void LoopbackBroker::serve() {
  while (!stops_) {
    std::vector<pollfd> polled{{listener_.get(), POLLIN, 0}};
    for (const auto& link : links_) {
      polled.push_back({link->socket.get(), static_cast<short>(reads ? POLLIN : 0), 0});
    }
    poll(polled.data(), polled.size(), kPollMs);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 1; i < polled.size(); ++i) {
      if (links_[i - 1]->socket && polled[i].revents != 0 && reads) serve(*links_[i - 1]);
    }
    while (true) {
      Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket) break;
      links_.push_back(std::make_unique<Link>(Link{std::move(socket), {}}));
    }
  }
}

void LoopbackBroker::serve(Link& link) {
  Bytes buffer(64 * 1024);
  const ssize_t count = read(link.socket.get(), buffer.data(), buffer.size());
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) {
    link.socket = Fd();
    return;
  }
  buffer.resize(static_cast<std::size_t>(count));
  link.broker.get(buffer);
  const std::size_t dies = dies_at;
  if (dies != 0 && link.broker.messages.size() >= dies) {
    link.socket = Fd();
    return;
  }
  const Bytes answers = std::exchange(link.broker.answers, {});
  // Answers are small, so the socket takes them at once.
  if (!answers.empty()) {
    require(send(link.socket.get(), answers.data(), answers.size(), MSG_NOSIGNAL) > 0, "send");
  }
  if (link.broker.has_closed) link.socket = Fd();
}

std::vector<PlainPublish> LoopbackBroker::messages() const {
  const std::lock_guard lock(mutex_);
  std::vector<PlainPublish> all;
  for (const auto& link : links_) {
    all.insert(all.end(), link->broker.messages.begin(), link->broker.messages.end());
  }
  return all;
}

std::size_t LoopbackBroker::count(PacketType type) const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& link : links_) count += link->broker.count(type);
  return count;
}

std::size_t LoopbackBroker::connections() const {
  const std::lock_guard lock(mutex_);
  return links_.size();
}

}  // namespace remora
