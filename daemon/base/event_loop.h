// SPDX-License-Identifier: Apache-2.0
//
// The daemon's one thread: descriptors, signals and timers, as callbacks.
//
// Nothing that blocks may run on it. A callback that throws is logged and the
// loop goes on (callback.h).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/base/handles.h"

namespace remora {

class EventLoop {
 public:
  using Callback = std::function<void()>;

  // Throws std::runtime_error when libevent cannot start.
  EventLoop();

  // Each holds until the loop is destroyed; `what` names it in the log.
  void on_readable(int fd, std::string what, Callback callback);
  void on_signal(int signal, std::string what, Callback callback);
  void every(std::chrono::milliseconds interval, std::string what, Callback callback);

  // Runs until stop().
  void run();
  void stop();

  event_base* base() const { return base_.get(); }

 private:
  struct Watch {
    std::string what;
    Callback callback;
    EventHandle event;
  };
  void watch(int fd, short events, std::string what, Callback callback, const timeval* interval);

  EventBaseHandle base_;
  std::vector<std::unique_ptr<Watch>> watches_;  // freed before the base
};

}  // namespace remora
