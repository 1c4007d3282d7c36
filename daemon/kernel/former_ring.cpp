// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/former_ring.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "daemon/base/callback.h"

namespace remora {

FormerRing::FormerRing(Fd map, MapConverter converter)
    : map_(std::move(map)), converter_(std::move(converter)) {}

void FormerRing::drain(const std::function<void(EntryView record)>& take) {
  struct Reading {
    MapConverter& converter;
    const std::function<void(EntryView)>& take;
  } reading{converter_, take};
  const auto trampoline = [](void* argument, void* bytes, std::size_t size) {
    const auto* self = static_cast<Reading*>(argument);
    guarded("record of the former ring", [&] {
      const EntryView record(static_cast<const std::byte*>(bytes), size);
      if (const auto now = self->converter.convert({}, record)) self->take(now->value);
    });
    return 0;
  };
  const RingBufferHandle ring(ring_buffer__new(map_.get(), trampoline, &reading, nullptr));
  if (!ring) throw std::system_error(errno, std::generic_category(), "cannot map the former ring");
  ring_buffer__consume(ring.get());
}

}  // namespace remora
