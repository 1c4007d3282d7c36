// SPDX-License-Identifier: Apache-2.0
//
// Calls back while a descriptor is readable or writable, unless it is paused.
//
// A change costs a system call, so set() makes none if nothing changes.
#pragma once

#include <event2/event.h>

#include <functional>

#include "daemon/base/handles.h"

namespace remora::router {

class Watch {
 public:
  using Callback = std::function<void()>;

  // `events` is EV_READ or EV_WRITE. Paused at first. The descriptor must outlive the watch. Throws
  // std::runtime_error.
  Watch(event_base* base, int fd, short events, Callback callback);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void set(bool is_wanted);

 private:
  Callback callback_;
  EventHandle event_;
  bool is_on_ = false;
};

}  // namespace remora::router
