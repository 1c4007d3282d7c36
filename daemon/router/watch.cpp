// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/watch.h"

#include <stdexcept>
#include <utility>

#include "daemon/base/callback.h"

namespace remora::router {

Watch::Watch(event_base* base, int fd, short events, Callback callback)
    : callback_(std::move(callback)) {
  const auto trampoline = [](evutil_socket_t, short, void* argument) {
    const auto* self = static_cast<const Watch*>(argument);
    guarded("a routed connection", self->callback_);
  };
  event_.reset(event_new(base, fd, static_cast<short>(events | EV_PERSIST), trampoline, this));
  if (!event_) throw std::runtime_error("cannot watch the socket of a routed connection");
}

void Watch::set(bool is_wanted) {
  if (is_wanted == is_on_) return;
  const int result = is_wanted ? event_add(event_.get(), nullptr) : event_del(event_.get());
  if (result != 0) throw std::runtime_error("cannot watch the socket of a routed connection");
  is_on_ = is_wanted;
}

}  // namespace remora::router
