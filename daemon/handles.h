// SPDX-License-Identifier: Apache-2.0
//
// Owners of C handles: each is freed exactly once, by its destructor.
#pragma once

#include <bpf/libbpf.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <unistd.h>

#include <memory>
#include <utility>

namespace remora {

// Frees a C handle. Empty, so the pointer stays one word.
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

// A file descriptor; -1: none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace remora
