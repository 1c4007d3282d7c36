// SPDX-License-Identifier: Apache-2.0
#include "tests/support/pieces.h"

#include <algorithm>

namespace remora {
namespace {

std::size_t draw(std::size_t least, std::size_t most, std::mt19937& random) {
  return std::uniform_int_distribution<std::size_t>(least, most)(random);
}

}  // namespace

Piece piece_of(const Bytes& stream, std::uint32_t first_seq, std::size_t begin, std::size_t end) {
  return {first_seq + static_cast<std::uint32_t>(begin),
          Bytes(stream.begin() + static_cast<std::ptrdiff_t>(begin),
                stream.begin() + static_cast<std::ptrdiff_t>(end))};
}

std::vector<Piece> cut(const Bytes& stream, std::uint32_t first_seq,
                       const std::vector<std::size_t>& cuts) {
  std::vector<Piece> pieces;
  std::size_t begin = 0;
  for (const std::size_t end : cuts) {
    if (end > begin) pieces.push_back(piece_of(stream, first_seq, begin, end));
    begin = std::max(begin, end);
  }
  if (begin < stream.size()) pieces.push_back(piece_of(stream, first_seq, begin, stream.size()));
  return pieces;
}

std::vector<Piece> cut_at_random(const Bytes& stream, std::uint32_t first_seq, std::size_t longest,
                                 std::mt19937& random) {
  std::vector<Piece> pieces;
  for (std::size_t begin = 0; begin < stream.size();) {
    const std::size_t end = std::min(stream.size(), begin + draw(1, longest, random));
    pieces.push_back(piece_of(stream, first_seq, begin, end));
    begin = end;
  }
  return pieces;
}

std::vector<Piece> with_repeats(const Bytes& stream, std::uint32_t first_seq, std::size_t longest,
                                std::mt19937& random) {
  std::vector<Piece> pieces;
  for (std::size_t sent = 0; sent < stream.size();) {
    // Every third piece begins with bytes that were sent before, and may go on beyond them.
    const std::size_t begin =
        draw(0, 2, random) == 0 ? sent - std::min(sent, draw(0, 2 * longest, random)) : sent;
    const std::size_t end = std::min(stream.size(), begin + draw(1, longest, random));
    pieces.push_back(piece_of(stream, first_seq, begin, end));
    if (begin == sent) sent = end;
  }
  return pieces;
}

}  // namespace remora
