// SPDX-License-Identifier: Apache-2.0
//
// A queue of bytes in one piece of memory: appended at the end, taken from the front.
#pragma once

#include "daemon/mqtt/packet.h"

namespace remora::router {

using mqtt::Bytes;
using mqtt::ByteView;

class ByteQueue {
 public:
  void append(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  // Valid until the next call that changes the queue.
  ByteView view() const { return ByteView(bytes_).subspan(taken_); }
  bool empty() const { return taken_ == bytes_.size(); }
  std::size_t size() const { return bytes_.size() - taken_; }

  void pop(std::size_t count) {
    taken_ += count;
    if (empty()) {
      clear();
    } else if (taken_ > bytes_.size() / 2) {
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(taken_));
      taken_ = 0;
    }
  }

  // Frees the memory.
  void clear() {
    bytes_ = {};
    taken_ = 0;
  }

 private:
  Bytes bytes_;
  std::size_t taken_ = 0;
};

}  // namespace remora::router
