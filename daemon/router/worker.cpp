// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/worker.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <system_error>
#include <utility>

#include "daemon/base/callback.h"

namespace remora::router {
namespace {

constexpr int kAccepted = 64;  // connections accepted at a time
constexpr Time kTick{500};

Endpoint endpoint_of(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &from, sizeof(ipv4));
    return {Address::from_ipv4(ipv4.sin_addr.s_addr), ipv4.sin_port};
  }
  sockaddr_in6 ipv6{};
  std::memcpy(&ipv6, &from, sizeof(ipv6));
  address abi{};
  std::memcpy(&abi, &ipv6.sin6_addr, sizeof(abi));
  return {Address(abi), ipv6.sin6_port};
}

}  // namespace

Worker::Worker(Fd listener, const Options& options, Surroundings surroundings,
               const WorkerLimits& limits)
    : options_(options),
      surroundings_(std::move(surroundings)),
      limits_(limits),
      buffer_(kBuffer),
      unread_(kBuffer / 16),
      lingering_(loop_.base(), unread_),
      shared_{loop_.base(), options_, surroundings_, buffer_, lingering_, limits_.memory},
      listener_(std::move(listener)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
  acceptable_ =
      std::make_unique<Watch>(loop_.base(), listener_.get(), EV_READ, [this] { accept(); });
  acceptable_->set(true);
  loop_.on_readable(wake_.get(), "tasks of a router's worker", [this] { run_tasks(); });
  last_tick_ = now_ms().count();
  loop_.every(kTick, "timers of routed connections", [this] { tick(); });

  // The daemon's own loop handles signals.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { guarded("a router's worker", [this] { loop_.run(); }); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "router");  // as top(1) and ps(1) show it
}

Worker::~Worker() {
  stops_ = true;
  post([] {});
  thread_.join();
}

void Worker::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  eventfd_write(wake_.get(), 1);
}

void Worker::change(Surroundings surroundings) {
  post([this, next = std::move(surroundings)] {
    surroundings_ = next;
    for (const auto& connection : connections_) {
      guarded("a change around a routed connection", [&] { connection->look_around(); });
    }
  });
}

// Their clients come back elsewhere: not all at once.
void Worker::evict() {
  const double per_tick = surroundings_.evictions_per_second * (kTick.count() / 1000.0);
  evictions_ = std::min(evictions_ + per_tick, std::max(per_tick, 1.0));
  for (const auto& connection : connections_) {
    if (evictions_ < 1) return;
    guarded("an evacuated connection", [&] { evictions_ -= connection->evict() ? 1 : 0; });
  }
}

void Worker::run_tasks() {
  eventfd_t count = 0;
  eventfd_read(wake_.get(), &count);
  std::deque<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
  if (stops_) loop_.stop();
}

void Worker::accept() {
  for (int i = 0; i < kAccepted; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    Fd client(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &size,
                      SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) {
      // Without descriptors the listener would stay readable, so it waits for the next tick.
      const bool is_out_of_descriptors = errno == EMFILE || errno == ENFILE || errno == ENOBUFS;
      if (is_out_of_descriptors) acceptable_->set(false);
      return;
    }
    if (connections_.size() >= limits_.connections) {
      ++turned_away_;
      continue;
    }
    connections_.push_back(
        std::make_unique<Connection>(shared_, std::move(client), endpoint_of(from)));
    ++accepted_;
    connection_count_ = connections_.size();
  }
}

void Worker::tick() {
  acceptable_->set(true);
  connections_.remove_if([](const auto& connection) { return connection->is_over(); });
  for (const auto& connection : connections_) {
    guarded("timers of a routed connection", [&] { connection->tick(); });
  }
  evict();
  connection_count_ = connections_.size();
  lingering_.tick(now_ms());
  memory_ = shared_.memory;
  last_tick_ = now_ms().count();
}

}  // namespace remora::router
