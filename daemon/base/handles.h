// SPDX-License-Identifier: Apache-2.0
//
// Owns C handles: each is freed exactly once, by its owner's destructor.
#pragma once

#include <bpf/libbpf.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <memory>

#include "daemon/base/fd.h"

namespace remora {

// Frees a C handle. It is empty, so the pointer stays one word.
template <auto Free>
struct Closer {
  template <class T>
  void operator()(T* handle) const noexcept {
    Free(handle);
  }
};

using EventBaseHandle = std::unique_ptr<event_base, Closer<event_base_free>>;
using EventHandle = std::unique_ptr<event, Closer<event_free>>;
using ListenerHandle = std::unique_ptr<evconnlistener, Closer<evconnlistener_free>>;
using BuffereventHandle = std::unique_ptr<bufferevent, Closer<bufferevent_free>>;
using RingBufferHandle = std::unique_ptr<ring_buffer, Closer<ring_buffer__free>>;
using BpfObjectHandle = std::unique_ptr<bpf_object, Closer<bpf_object__close>>;

}  // namespace remora
