// SPDX-License-Identifier: Apache-2.0
//
// A stream on its way to the LB, as TCP and the network deliver it: segments of any size,
// repeated, overlapping, lost and sent again, overtaken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "tests/support/pieces.h"

namespace remora {

// Where a sender ends its segments of at most `mss` bytes: when they are full, or where the
// application's writes end. Short streams are also cut into single bytes.
std::vector<std::size_t> random_cuts(std::size_t stream_length, std::size_t mss,
                                     std::mt19937& random);

// The stream without gaps, but with everything that is harmless to TCP: segments sent twice,
// sent again with other boundaries and with new bytes after the old ones, which are sent once more
// because the LB cuts them off, and keep-alive probes, whose one byte is not the stream's
// (RFC 9293 §3.8.4).
std::vector<Piece> in_order(const Bytes& stream, std::uint32_t first_seq, std::size_t mss,
                            std::mt19937& random);

// Probabilities are per segment.
struct PathOptions {
  std::size_t mss = 1400;
  double loss = 0;                // before the LB
  double loss_behind = 0;         // between the LB, which sees it, and the broker
  double reordering = 0;          // arrives a few segments late
  double duplication = 0;         // arrives twice
  double bypass = 0;              // reaches the broker, but not this LB
  bool other_boundaries = false;  // repeats may be cut differently
  std::size_t window = 32;        // segments in flight
  // The client sends nothing after these bytes until the broker has them: it waits for the CONNACK.
  // They are sent one segment at a time.
  std::size_t alone = 0;
  // Where the application's writes end, in ascending order. Segments end there, and where they
  // are full.
  std::vector<std::size_t> writes{};
};

// A client's TCP and the path to the LB, one segment's time after the other. A lost segment is
// sent again after a round trip, when later ones have been sent; it may be lost again.
class Path {
 public:
  // `stream` must outlive the path, as must `random`.
  Path(const Bytes& stream, std::uint32_t first_seq, const PathOptions& options,
       std::mt19937& random);

  // The next segment that arrives at the LB; none if the broker has the whole stream.
  std::optional<Piece> next();
  // The LB did not forward the last segment: the broker does not have it.
  void dropped();
  // The LB cut the last segment: the broker has nothing of it from `end` on (in the stream).
  void cut(std::size_t end);

  std::size_t segments() const { return ends_.size(); }

 private:
  struct Arrival {
    std::size_t segment;
    std::size_t begin, end;  // in the stream
  };

  bool happens(double probability);
  std::size_t draw(std::size_t least, std::size_t most);
  std::size_t begin_of(std::size_t segment) const { return segment == 0 ? 0 : ends_[segment - 1]; }
  void cut_at_writes();
  bool may_send_new() const;
  void transmit();
  void send(std::size_t segment, std::size_t begin, std::size_t end);
  void send_again(std::size_t segment);
  void send_again_later(std::size_t segment);
  void acknowledge();
  Piece arrive(const Arrival& arrival);

  const Bytes& stream_;
  std::uint32_t first_seq_;
  PathOptions options_;
  std::mt19937& random_;

  std::vector<std::size_t> ends_;                    // where each segment ends
  std::vector<bool> has_;                            // segments that the broker has
  std::vector<bool> waits_;                          // segments in again_, where each is once
  std::size_t missing_ = 0;                          // first segment that the broker lacks
  std::size_t unsent_ = 0;                           // first segment that was never sent
  std::uint64_t now_ = 0;                            // in times that it takes to send one segment
  std::multimap<std::uint64_t, std::size_t> again_;  // segments to repeat, by time
  std::multimap<std::uint64_t, Arrival> in_flight_;  // by time of arrival
  std::optional<std::size_t> brought_;  // the segment that the last arrival brought the broker
  std::optional<Arrival> latest_;       // the part of it that the broker got
  std::size_t acked_ = 0;               // the broker has all bytes before this one
};

}  // namespace remora
