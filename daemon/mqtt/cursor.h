// SPDX-License-Identifier: Apache-2.0
//
// Reads the fields of one packet from left to right.
//
// A read beyond the end fails and yields zeros; the caller checks once, at the end, whether any
// read has failed.
#pragma once

#include "daemon/mqtt/packet.h"

namespace remora::mqtt {

class Cursor {
 public:
  explicit Cursor(ByteView bytes) : bytes_(bytes) {}

  std::uint8_t byte() {
    const ByteView one = take(1);
    return one.empty() ? std::uint8_t{0} : one[0];
  }

  std::uint16_t two_bytes() {
    const ByteView two = take(2);
    return two.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>(two[0] << 8 | two[1]);
  }

  // §1.5.5; the encoding must be complete.
  std::uint32_t variable_integer();

  // A string or binary data with its length (§1.5.4, §1.5.6).
  ByteView string() { return take(two_bytes()); }

  ByteView take(std::size_t count) {
    if (failed_ || left() < count) {
      fail();
      return {};
    }
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }

  std::size_t at() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }
  ByteView rest() const { return bytes_.subspan(at_); }

  void fail() { failed_ = true; }
  bool failed() const { return failed_; }

 private:
  ByteView bytes_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace remora::mqtt
