// SPDX-License-Identifier: Apache-2.0
//
// The client's end of one TCP connection, as its packets show it.
#pragma once

#include <cstdint>

#include "tests/support/packet.h"

namespace remora {

class Client {
 public:
  // The client acknowledges the broker's SYN, so it expects the broker's first byte.
  static constexpr std::uint32_t kAcknowledged = 0x70000001;

  Client(Peer self, Peer service, std::uint32_t isn = 1000)
      : self_(self), service_(service), isn_(isn), next_(isn + 1) {}

  // All segments from here on carry these TCP options.
  void carry(const Bytes& options) { options_ = options; }

  Segment syn() const { return addressed(remora::syn()).seq(isn_).acknowledging(0); }
  Segment ack() const { return addressed(remora::ack()); }
  Segment rst() const { return addressed(remora::rst()); }

  // The next bytes of the stream.
  Segment send(const Bytes& bytes) {
    Segment segment = addressed(data(bytes));
    next_ += static_cast<std::uint32_t>(bytes.size());
    return segment;
  }

  // Bytes of the stream from `offset` on, which may be repeated, early or never sent before.
  Segment at(std::uint32_t offset, const Bytes& bytes) const {
    return addressed(data(bytes)).seq(isn_ + 1 + offset);
  }

  Segment fin() {
    Segment segment = addressed(remora::fin());
    next_++;
    return segment;
  }

  // Moves on by bytes that passed or were lost without a segment here.
  void skip(std::uint32_t bytes) { next_ += bytes; }

  Peer self() const { return self_; }
  Peer service() const { return service_; }
  std::uint32_t isn() const { return isn_; }
  // Bytes sent so far.
  std::uint32_t sent() const { return next_ - isn_ - 1; }
  // The sequence number of the next byte.
  std::uint32_t next_seq() const { return next_; }

 private:
  Segment addressed(Segment segment) const {
    segment.from(self_).to(service_).seq(next_).acknowledging(kAcknowledged);
    return options_.empty() ? segment : segment.options(options_);
  }

  Peer self_, service_;
  std::uint32_t isn_, next_;
  Bytes options_;
};

}  // namespace remora
