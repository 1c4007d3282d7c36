// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/event_loop.h"

#include <csignal>
#include <stdexcept>

#include "daemon/base/callback.h"

namespace remora {

namespace {

void change_mask(int how, std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(how, &set, nullptr);
}

}  // namespace

void hold_signals(std::initializer_list<int> signals) {
  change_mask(SIG_BLOCK, signals);
}

EventLoop::EventLoop() : base_(event_base_new()) {
  if (!base_) throw std::runtime_error("cannot start the event loop");
  std::signal(SIGPIPE, SIG_IGN);
}

void EventLoop::watch(int fd, short events, std::string what, Callback callback,
                      const timeval* interval) {
  auto entry = std::make_unique<Watch>(Watch{std::move(what), std::move(callback), nullptr});
  const auto trampoline = [](evutil_socket_t, short, void* argument) {
    const auto* self = static_cast<const Watch*>(argument);
    guarded(self->what, self->callback);
  };
  entry->event.reset(
      event_new(base_.get(), fd, static_cast<short>(events | EV_PERSIST), trampoline, entry.get()));
  if (!entry->event || event_add(entry->event.get(), interval) != 0) {
    throw std::runtime_error("cannot watch " + entry->what);
  }
  watches_.push_back(std::move(entry));
}

void EventLoop::on_readable(int fd, std::string what, Callback callback) {
  watch(fd, EV_READ, std::move(what), std::move(callback), nullptr);
}

void EventLoop::on_signal(int signal, std::string what, Callback callback) {
  watch(signal, EV_SIGNAL, std::move(what), std::move(callback), nullptr);
  change_mask(SIG_UNBLOCK, {signal});
}

void EventLoop::every(std::chrono::milliseconds interval, std::string what, Callback callback) {
  const timeval period{interval.count() / 1000, interval.count() % 1000 * 1000};
  watch(-1, 0, std::move(what), std::move(callback), &period);
}

void EventLoop::run() {
  if (event_base_dispatch(base_.get()) < 0) throw std::runtime_error("the event loop failed");
}

void EventLoop::stop() {
  event_base_loopbreak(base_.get());
}

}  // namespace remora
