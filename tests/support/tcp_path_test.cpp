// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tcp_path.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/mqtt_packets.h"

namespace remora {
namespace {

constexpr std::uint32_t kStart = 0xffffff00;  // sequence numbers wrap around

Bytes counted(std::size_t size) {
  Bytes out;
  for (std::size_t i = 0; i < size; i++) out.push_back(static_cast<std::uint8_t>(i * 7 + i / 251));
  return out;
}

std::size_t begin_of(const Piece& piece) {
  return static_cast<std::uint32_t>(piece.seq - kStart);
}
std::size_t end_of(const Piece& piece) {
  return begin_of(piece) + piece.bytes.size();
}

// Every piece is part of the stream.
bool is_of(const Piece& piece, const Bytes& stream) {
  return end_of(piece) <= stream.size() &&
         std::equal(piece.bytes.begin(), piece.bytes.end(),
                    stream.begin() + static_cast<std::ptrdiff_t>(begin_of(piece)));
}

std::vector<Piece> all_of(Path path) {
  std::vector<Piece> pieces;
  while (std::optional<Piece> piece = path.next()) pieces.push_back(*piece);
  return pieces;
}

// The bytes of the stream that have arrived.
class Arrived {
 public:
  explicit Arrived(std::size_t size) : has_(size) {}

  void add(const Piece& piece) {
    std::fill(has_.begin() + static_cast<std::ptrdiff_t>(begin_of(piece)),
              has_.begin() + static_cast<std::ptrdiff_t>(end_of(piece)), true);
    while (missing_ < has_.size() && has_[missing_]) missing_++;
  }
  // The first byte that has not arrived.
  std::size_t missing() const { return missing_; }
  std::size_t bytes() const {
    return static_cast<std::size_t>(std::count(has_.begin(), has_.end(), true));
  }

 private:
  std::vector<bool> has_;
  std::size_t missing_ = 0;
};

// The number of different bytes of the stream in the pieces.
std::size_t covered(const std::vector<Piece>& pieces, std::size_t size) {
  Arrived arrived(size);
  for (const Piece& piece : pieces) arrived.add(piece);
  return arrived.bytes();
}

// The number of pieces that arrived before earlier bytes did.
std::size_t ahead(const std::vector<Piece>& pieces, std::size_t size) {
  std::size_t count = 0;
  Arrived arrived(size);
  for (const Piece& piece : pieces) {
    if (begin_of(piece) > arrived.missing()) count++;
    arrived.add(piece);
  }
  return count;
}

TEST(InOrderTest, NothingIsEverMissing) {
  for (std::uint32_t seed = 1; seed <= 100; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const Bytes stream = counted(seed * 97);
    std::size_t sent = 0, repeats = 0, probes = 0;
    for (const Piece& piece : in_order(stream, kStart, 500, random)) {
      ASSERT_LE(piece.bytes.size(), 500u);
      if (!is_of(piece, stream)) {
        ASSERT_EQ(piece.bytes.size(), 1u);
        ASSERT_LE(end_of(piece), sent) << "a probe is no new byte";
        probes++;
        continue;
      }
      ASSERT_LE(begin_of(piece), sent);
      if (begin_of(piece) < sent) repeats++;
      sent = std::max(sent, end_of(piece));
    }
    ASSERT_EQ(sent, stream.size());
  }
}

TEST(InOrderTest, NoSegmentIsLongerThanTheMss) {
  for (std::uint32_t seed = 1; seed <= 200; seed++) {
    std::mt19937 random(seed);
    const std::size_t mss = 1 + seed % 60;
    std::size_t before = 0;
    for (const std::size_t end : random_cuts(5000, mss, random)) {
      ASSERT_GT(end, before);
      ASSERT_LE(end - before, mss);
      before = end;
    }
    ASSERT_LE(5000 - before, mss);
  }
}

TEST(InOrderTest, ShortStreamsAreCutIntoSingleBytesToo) {
  bool found = false;
  for (std::uint32_t seed = 1; seed <= 100 && !found; seed++) {
    std::mt19937 random(seed);
    const auto cuts = random_cuts(100, 1400, random);
    found = cuts.size() > 50;
  }
  EXPECT_TRUE(found);
}

TEST(PathTest, APerfectPathIsTheStreamItself) {
  std::mt19937 random(1);
  const Bytes stream = counted(5000);
  Bytes arrived;
  for (const Piece& piece : all_of(Path(stream, kStart, {.mss = 300}, random))) {
    EXPECT_EQ(begin_of(piece), arrived.size());
    arrived = arrived + piece.bytes;
  }
  EXPECT_EQ(arrived, stream);
}

TEST(PathTest, WhatIsLostComesAgainBehindWhatWasSentAfterIt) {
  const Bytes stream = counted(100'000);
  for (std::uint32_t seed = 1; seed <= 20; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Path path(stream, kStart, {.mss = 100, .loss = 0.02}, random);
    const std::size_t segments = path.segments();

    const auto pieces = all_of(std::move(path));

    EXPECT_EQ(pieces.size(), segments) << "each arrives once";
    EXPECT_EQ(covered(pieces, stream.size()), stream.size());
    EXPECT_TRUE(std::all_of(pieces.begin(), pieces.end(),
                            [&](const Piece& piece) { return is_of(piece, stream); }));
    EXPECT_GT(ahead(pieces, stream.size()), segments / 100);
  }
}

TEST(PathTest, WhatIsOvertakenIsAFewSegmentsLate) {
  const Bytes stream = counted(100'000);
  std::mt19937 random(3);
  const auto pieces = all_of(Path(stream, kStart, {.mss = 100, .reordering = 0.05}, random));

  EXPECT_EQ(covered(pieces, stream.size()), stream.size());
  std::size_t late = 0, most = 0;
  for (std::size_t i = 0; i < pieces.size(); i++) {
    std::size_t overtook = 0;
    for (std::size_t before = 0; before < i; before++)
      if (begin_of(pieces[before]) > begin_of(pieces[i])) overtook++;
    if (overtook > 0) late++;
    most = std::max(most, overtook);
  }
  EXPECT_GT(late, pieces.size() / 50);
  EXPECT_LT(late, pieces.size() / 10);
  EXPECT_LE(most, 8u);
}

TEST(PathTest, NeverMoreThanTheWindowIsInFlight) {
  const Bytes stream = counted(50'000);
  std::mt19937 random(5);
  const auto pieces = all_of(Path(stream, kStart, {.mss = 100, .loss = 0.05, .window = 8}, random));

  Arrived arrived(stream.size());
  for (const Piece& piece : pieces) {
    EXPECT_LE(end_of(piece), arrived.missing() + 8 * 100);
    arrived.add(piece);
  }
}

TEST(PathTest, WhatIsLostBehindTheLbArrivesTwice) {
  const Bytes stream = counted(50'000);
  std::mt19937 random(7);
  Path path(stream, kStart, {.mss = 100, .loss_behind = 0.05, .other_boundaries = true}, random);
  const std::size_t segments = path.segments();

  const auto pieces = all_of(std::move(path));

  EXPECT_GT(pieces.size(), segments + segments / 50);
  EXPECT_EQ(ahead(pieces, stream.size()), 0u);
  EXPECT_TRUE(std::all_of(pieces.begin(), pieces.end(), [&](const Piece& piece) {
    return is_of(piece, stream) && piece.bytes.size() <= 100;
  }));
}

TEST(PathTest, WhatTakesAnotherWayNeverArrives) {
  const Bytes stream = counted(100'000);
  std::mt19937 random(9);
  const auto pieces =
      all_of(Path(stream, kStart, {.mss = 100, .bypass = 0.05, .alone = 50}, random));

  EXPECT_EQ(begin_of(pieces[0]), 0u);
  EXPECT_LT(covered(pieces, stream.size()), stream.size() * 98 / 100);
  EXPECT_GT(covered(pieces, stream.size()), stream.size() * 80 / 100);
}

TEST(PathTest, SegmentsEndWithWritesAndAtTheMss) {
  std::mt19937 random(1);
  const Bytes stream = counted(1000);
  std::vector<std::size_t> ends;
  const PathOptions options{.mss = 300, .writes = {10, 10, 20, 700, 1000}};
  for (const Piece& piece : all_of(Path(stream, kStart, options, random)))
    ends.push_back(end_of(piece));

  EXPECT_EQ(ends, (std::vector<std::size_t>{10, 20, 320, 620, 700, 1000}));
}

TEST(PathTest, WhatTheLbDropsComesAgain) {
  const Bytes stream = counted(10'000);
  std::mt19937 random(11);
  Path path(stream, kStart, {.mss = 100}, random);
  std::vector<Piece> forwarded;
  std::size_t drops = 0;
  for (std::size_t count = 1; std::optional<Piece> piece = path.next(); count++) {
    if (count % 10 == 0) {
      path.dropped();
      drops++;
    } else {
      forwarded.push_back(*piece);
    }
  }
  EXPECT_GT(drops, 5u);
  EXPECT_EQ(covered(forwarded, stream.size()), stream.size());
}

TEST(PathTest, NothingFollowsTheConnectBeforeTheBrokerHasIt) {
  const Bytes stream = counted(3000);
  for (std::uint32_t seed = 1; seed <= 50; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto pieces = all_of(
        Path(stream, kStart, {.mss = 100, .loss = 0.3, .reordering = 0.3, .alone = 250}, random));
    Arrived arrived(stream.size());
    for (const Piece& piece : pieces) {
      EXPECT_TRUE(arrived.missing() >= 250 || begin_of(piece) <= arrived.missing());
      arrived.add(piece);
    }
    EXPECT_EQ(arrived.bytes(), stream.size());
  }
}

}  // namespace
}  // namespace remora
