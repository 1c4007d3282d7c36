// SPDX-License-Identifier: Apache-2.0
#include "daemon/event_reader.h"

#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

#include "daemon/callback.h"

namespace remora {
namespace {

// What the kernel wrote, with its lengths checked against the record's.
std::optional<Record> read_record(const void* bytes, std::size_t size) {
  Record record{};
  if (size < sizeof(record.head)) return std::nullopt;
  std::memcpy(&record.head, bytes, sizeof(record.head));
  const event& head = record.head;
  if (size - sizeof(head) < head.data_len) return std::nullopt;
  record.data = {static_cast<const std::uint8_t*>(bytes) + sizeof(head), head.data_len};
  if (std::size_t{head.topic_offset} + head.topic_len > head.data_len) return std::nullopt;
  return record;
}

}  // namespace

EventReader::EventReader(EventLoop& loop, int map_fd, Handler on_record)
    : on_record_(std::move(on_record)) {
  const auto trampoline = [](void* argument, void* bytes, std::size_t size) {
    auto* self = static_cast<EventReader*>(argument);
    guarded("record of the ring", [&] {
      if (const auto record = read_record(bytes, size)) self->on_record_(*record);
    });
    return --self->left_in_turn_ > 0 ? 0 : -EAGAIN;  // ends this turn
  };
  ring_.reset(ring_buffer__new(map_fd, trampoline, this, nullptr));
  if (!ring_) throw std::system_error(errno, std::generic_category(), "cannot map the ring");
  loop.on_readable(ring_buffer__epoll_fd(ring_.get()), "ring of events", [this] { read_some(); });
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
