// SPDX-License-Identifier: Apache-2.0
//
// The daemon's one thread: descriptors, signals and timers, as callbacks.
//
// Nothing that blocks may run on it. A callback that throws is logged, and the loop continues
// (callback.h). Writing to a peer that has closed its end fails with EPIPE; there is no SIGPIPE.
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "daemon/base/handles.h"

namespace remora {

// From now on these signals wait for on_signal() instead of ending the process. Applies to the
// calling thread and the threads that it creates.
void hold_signals(std::initializer_list<int> signals);

class EventLoop {
 public:
  using Callback = std::function<void()>;

  // Throws std::runtime_error if libevent cannot start.
  EventLoop();

  // Each registration lasts until the loop is destroyed; `what` names it in the log. A held signal
  // arrives when the loop runs.
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
