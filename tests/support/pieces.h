// SPDX-License-Identifier: Apache-2.0
//
// A stream in pieces as TCP may deliver it: of any size, in order, repeated, overlapping or out
// of order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "tests/support/packet.h"

namespace remora {

struct Piece {
  std::uint32_t seq = 0;
  Bytes bytes;
};

// The bytes [begin, end) of a stream whose first byte has the number `first_seq`.
Piece piece_of(const Bytes& stream, std::uint32_t first_seq, std::size_t begin, std::size_t end);

// The stream cut before each offset in `cuts`, which are in ascending order.
std::vector<Piece> cut(const Bytes& stream, std::uint32_t first_seq,
                       const std::vector<std::size_t>& cuts);

// The stream in pieces of random size up to `longest`.
std::vector<Piece> cut_at_random(const Bytes& stream, std::uint32_t first_seq, std::size_t longest,
                                 std::mt19937& random);

// The same stream, in order, with retransmissions in between: earlier pieces, whole or cut
// differently, some of them followed by later bytes.
std::vector<Piece> with_repeats(const Bytes& stream, std::uint32_t first_seq, std::size_t longest,
                                std::mt19937& random);

}  // namespace remora
