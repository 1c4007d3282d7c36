// SPDX-License-Identifier: Apache-2.0
//
// Passes tasks of other threads to the daemon's own loop.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "daemon/base/event_loop.h"
#include "daemon/base/fd.h"

namespace remora {

class Mailbox {
 public:
  // `loop` must outlive it, and must not run any more when this is destroyed. Throws
  // std::system_error.
  explicit Mailbox(EventLoop& loop);

  // May be called on any thread.
  void post(std::function<void()> task);
  // Runs the posted tasks. Called on the loop's thread.
  void run();

 private:
  Fd wake_;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
};

}  // namespace remora
