// SPDX-License-Identifier: Apache-2.0
//
// The packet walker over any bytes in any segments, against the same bytes in one segment. The
// first bytes of the input say how TCP splits the stream, which is the rest.
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "tests/support/walker.h"

namespace remora {
namespace {

// The beginning of an input; missing bytes count as 0.
struct Cutting {
  std::uint32_t first_seq;
  std::uint8_t cuts;
  std::uint8_t seed;  // of the retransmissions; 0: none
};

void require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "walker_fuzz: " << what << '\n';
  std::abort();
}

void check(const Bytes& input) {
  std::size_t at = 0;
  const auto next = [&] { return at < input.size() ? input[at++] : std::uint8_t{0}; };
  Cutting cutting{};
  for (int i = 0; i < 4; i++) cutting.first_seq = cutting.first_seq << 8 | next();
  cutting.cuts = next() % 16;
  cutting.seed = next();
  std::vector<std::size_t> cuts;
  std::size_t place = 0;
  for (int i = 0; i < cutting.cuts; i++) cuts.push_back(place += next());
  const Bytes stream(input.begin() + static_cast<std::ptrdiff_t>(at), input.end());
  while (!cuts.empty() && cuts.back() > stream.size()) cuts.pop_back();

  std::mt19937 random(cutting.seed);
  const std::vector<Piece> pieces = cutting.seed == 0
                                        ? cut(stream, cutting.first_seq, cuts)
                                        : with_repeats(stream, cutting.first_seq, 20, random);
  Walker walker(cutting.first_seq);
  for (const Piece& piece : pieces)
    require(walker.feed(piece) != WALK_HOLE || walker.blind(), "a hole in a whole stream");

  // The result does not depend on how TCP splits the stream.
  Walker whole(cutting.first_seq);
  if (!stream.empty()) whole.feed({cutting.first_seq, stream});
  require(walker.seen() == whole.seen(), "the cuts made a difference");
  require(walker.keep_alive() == whole.keep_alive(), "the cuts made a difference to the CONNECT");
  require(walker.blind() == whole.blind(), "the cuts made a stream blind, or not");
}

}  // namespace
}  // namespace remora

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  remora::check(remora::Bytes(data, data + size));
  return 0;
}
