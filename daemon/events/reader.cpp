// SPDX-License-Identifier: Apache-2.0
#include "daemon/events/reader.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "daemon/base/callback.h"

namespace remora {

EventReader::EventReader(EventLoop& loop, int map_fd, Handler on_record)
    : on_record_(std::move(on_record)),
      map_fd_(map_fd),
      ring_(map_fd),
      edges_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!edges_) throw std::system_error(errno, std::generic_category(), "cannot watch the ring");
  watch(EPOLL_CTL_ADD);
  loop.on_readable(edges_.get(), "ring of events", [this] { on_readable(); });
}

// The ring itself stays readable while it has records that are not released, but only new ones
// matter. The kernel wakes the reader for urgent ones (WAKE_READER). Watching again wakes it as
// well, if there are any records.
void EventReader::watch(int operation) const {
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {}};
  if (::epoll_ctl(edges_.get(), operation, map_fd_, &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot watch the ring");
  }
}

void EventReader::on_readable() {
  epoll_event event{};
  ::epoll_wait(edges_.get(), &event, 1, 0);
  look();
}

void EventReader::look() {
  if (read_some()) watch(EPOLL_CTL_MOD);
}

// Returns true if this turn is over and records may be left.
bool EventReader::read_some() {
  for (int left = kTurn; left > 0; --left) {
    const std::uint64_t begin = ring_.read_to();
    const auto bytes = ring_.next();
    if (!bytes) return false;
    guarded("record of the ring", [&] {
      if (const auto record = read_record(bytes->data(), bytes->size())) {
        on_record_(*record, {begin, ring_.read_to()});
      } else {
        ++malformed_;
      }
    });
  }
  return true;
}

void EventReader::take(const void* bytes, std::size_t size) {
  if (const auto record = read_record(bytes, size)) {
    on_record_(*record, {});
  } else {
    ++malformed_;
  }
}

void EventReader::drain() {
  while (read_some()) {
  }
}

void EventReader::release(std::uint64_t committed, std::uint64_t now_ns) {
  const std::uint64_t read_to = ring_.read_to();
  std::uint64_t position = std::min(committed, read_to);
  while (!looks_.empty() && now_ns - looks_.front().at_ns >= kKeptNs) {
    position = std::max(position, looks_.front().read_to);
    looks_.pop_front();
  }
  if (looks_.empty() || looks_.back().read_to != read_to) looks_.push_back({now_ns, read_to});
  if (read_to > ring_.size() / 2) position = std::max(position, read_to - ring_.size() / 2);
  ring_.release(position);
}

}  // namespace remora
