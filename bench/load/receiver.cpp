// SPDX-License-Identifier: Apache-2.0
#include "bench/load/receiver.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "bpf/parse.h"
#include "daemon/base/socket_address.h"

namespace remora::load {
namespace {

using namespace std::chrono_literals;

constexpr int kBacklog = 4096;

Fd listen_at(const Endpoint& at) {
  const SocketAddress address(at.address, net_to_host16(at.port));
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (!fd || bind(fd.get(), address.get(), address.size()) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot listen at " + to_string(at));
  }
  return fd;
}

}  // namespace

Receiver::Receiver() {
  loop_.on_readable(STDIN_FILENO, "questions", [this] { read_questions(); });
  loop_.every(500ms, "connections that have ended", [this] { clean_up(); });
}

void Receiver::subscribe(const std::vector<Endpoint>& brokers) {
  for (std::size_t i = 0; i < brokers.size(); ++i) {
    auto socket = router::Peer::connecting(brokers[i], std::nullopt);
    if (!socket) throw std::runtime_error("cannot connect to " + to_string(brokers[i]));
    ++waiting_;
    add(std::move(*socket), i, ReceivingConnection::Role::kSubscriber);
  }
}

void Receiver::listen(const std::vector<Endpoint>& places) {
  listeners_.reserve(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Fd& listener = listeners_.emplace_back(listen_at(places[i]));
    acceptable_.push_back(std::make_unique<router::Watch>(loop_.base(), listener.get(), EV_READ,
                                                          [this, i] { accept(listeners_[i], i); }));
    acceptable_.back()->set(true);
  }
}

void Receiver::run() {
  if (waiting_ == 0) std::cout << "ready" << std::endl;
  loop_.run();
}

void Receiver::accept(const Fd& listener, std::size_t broker) {
  Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket) add(std::move(socket), broker, ReceivingConnection::Role::kBroker);
}

void Receiver::add(Fd socket, std::size_t broker, ReceivingConnection::Role role) {
  connections_.push_back(std::make_unique<ReceivingConnection>(
      loop_.base(), std::move(socket), role, broker, tally_, [this] {
        if (--waiting_ == 0) std::cout << "ready" << std::endl;
      }));
}

void Receiver::read_questions() {
  std::array<char, 256> buffer{};
  const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (count <= 0) return loop_.stop();
  for (auto left = std::count(buffer.begin(), buffer.begin() + count, '\n'); left > 0; --left)
    std::cout << tally_.summary() << std::endl;
}

void Receiver::clean_up() {
  connections_.remove_if([](const auto& connection) { return connection->is_over(); });
}

}  // namespace remora::load
