// SPDX-License-Identifier: Apache-2.0
#include "daemon/events/reader.h"

#include <cerrno>
#include <system_error>

#include "daemon/base/callback.h"

namespace remora {

EventReader::EventReader(EventLoop& loop, int map_fd, Handler on_record)
    : on_record_(std::move(on_record)) {
  const auto trampoline = [](void* argument, void* bytes, std::size_t size) {
    auto* self = static_cast<EventReader*>(argument);
    guarded("record of the ring", [&] { self->take(bytes, size); });
    return --self->left_in_turn_ > 0 ? 0 : -EAGAIN;  // ends this turn
  };
  ring_.reset(ring_buffer__new(map_fd, trampoline, this, nullptr));
  if (!ring_) throw std::system_error(errno, std::generic_category(), "cannot map the ring");
  loop.on_readable(ring_buffer__epoll_fd(ring_.get()), "ring of events", [this] { read_some(); });
}

void EventReader::take(const void* bytes, std::size_t size) {
  if (const auto record = read_record(bytes, size)) {
    on_record_(*record);
  } else {
    ++malformed_;
  }
}

// The descriptor stays readable while records are left.
void EventReader::read_some() {
  left_in_turn_ = kTurn;
  ring_buffer__consume(ring_.get());
}

void EventReader::drain() {
  do {
    read_some();
  } while (left_in_turn_ <= 0);
}

}  // namespace remora
