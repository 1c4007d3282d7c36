// SPDX-License-Identifier: Apache-2.0
//
// The packet walker in its native form over random sessions on random paths, against
// the plain reader of the whole stream. REMORA_SEED and REMORA_ROUNDS: seeds.h.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/plain_reader.h"
#include "tests/support/seeds.h"
#include "tests/support/session.h"
#include "tests/support/tcp_path.h"
#include "tests/support/walker.h"

namespace remora {

void PrintTo(const Sighting& sighting, std::ostream* out);  // mqtt_test.cpp

namespace {

// Every PUBLISH, and nothing else, was found where the plain reader found it.
void expect_as_read(const Bytes& stream, const Walker& walker) {
  const SessionReading reading = read_session(stream);
  std::vector<Sighting> read, seen;
  for (const ReadPublish& publish : reading.publishes)
    read.push_back({.offset = publish.offset,
                    .topic = publish.text,
                    .alias = static_cast<std::uint16_t>(publish.alias)});
  for (const Sighting& sighting : walker.seen())
    if (sighting.topic) seen.push_back(sighting);

  EXPECT_EQ(seen, read);
  // The last packet may be incomplete. The walker may have recognised it all the same.
  const StreamPacket last = read_stream(stream).packets.back();
  if (last.offset + last.length <= stream.size() || reading.malformed_at) {
    EXPECT_EQ(walker.blind(), reading.malformed_at.has_value());
  }
}

TEST(WalkerPropertyTest, InOrderEverythingIsFound) {
  const auto [first, rounds] = seeds(150);
  for (std::uint32_t seed = first; seed < first + rounds; seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session({.mistakes = 0.1}, random);
    const auto first_seq = static_cast<std::uint32_t>(random());
    const auto pieces = in_order(session.stream, first_seq, 1 + random() % 1440, random);
    Walker walker(first_seq);

    for (const Piece& piece : pieces) ASSERT_NE(walker.feed(piece), WALK_HOLE);

    expect_as_read(session.stream, walker);
    if (testing::Test::HasFailure()) return;
  }
}

// The walker itself keeps nothing: early bytes come again.
TEST(WalkerPropertyTest, WhatIsLostAndOvertakenIsFoundWhenItIsThere) {
  const auto [first, rounds] = seeds(150);
  for (std::uint32_t seed = first; seed < first + rounds; seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session({.mistakes = 0.1}, random);
    const auto first_seq = static_cast<std::uint32_t>(random());
    const PathOptions worst{.mss = 1 + random() % 1440,
                            .loss = 0.05,
                            .loss_behind = 0.05,
                            .reordering = 0.05,
                            .duplication = 0.05,
                            .other_boundaries = true,
                            .window = 4 + random() % 60};
    Path path(session.stream, first_seq, worst, random);
    Walker walker(first_seq);

    while (const std::optional<Piece> piece = path.next())
      if (walker.feed(*piece) == WALK_HOLE) path.dropped();

    expect_as_read(session.stream, walker);
    if (testing::Test::HasFailure()) return;
  }
}

// A few wrong bits after the CONNECT may break the stream, move its boundaries, or do nothing.
// Walker and reader agree.
TEST(WalkerPropertyTest, DamagedSessionsAreReadAlike) {
  const auto [first, rounds] = seeds(2000);
  for (std::uint32_t seed = first; seed < first + rounds; seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const SessionOptions short_ones{.packets = 6, .longest_message = 100, .longest_topic = 100};
    const Session session = random_session(short_ones, random);
    const std::size_t in_front = session.connect_length;
    if (session.stream.size() == in_front) continue;
    Bytes stream = session.stream;
    for (std::size_t count = 1 + random() % 3; count > 0; count--) {
      const std::size_t at = in_front + random() % (stream.size() - in_front);
      stream[at] ^= static_cast<std::uint8_t>(1u << random() % 8);
    }
    const auto first_seq = static_cast<std::uint32_t>(random());
    const auto pieces = in_order(stream, first_seq, 1 + random() % 100, random);
    Walker walker(first_seq);

    for (const Piece& piece : pieces) walker.feed(piece);

    expect_as_read(stream, walker);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(WalkerPropertyTest, EveryCutOfThreePublishesInEveryOrderIsFound) {
  const std::vector<std::vector<std::size_t>> orders = {
      {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {2, 2, 0, 0, 1, 1}};
  const Bytes stream = three_publishes().stream;
  const std::uint32_t first_seq = 0xffffffe0;
  for (std::size_t one = 1; one < stream.size(); one++) {
    for (std::size_t two = one + 1; two < stream.size(); two++) {
      for (const auto& order : orders) {
        SCOPED_TRACE(testing::Message() << "cut at " << one << " and " << two << ", order "
                                        << testing::PrintToString(order));
        const auto pieces = cut(stream, first_seq, {one, two});
        std::vector<Piece> sent;
        for (const std::size_t piece : order) sent.push_back(pieces[piece]);
        Walker walker(first_seq);

        for (std::size_t i = 0; i < sent.size(); i++) {
          const Piece piece = sent[i];
          if (walker.feed(piece) == WALK_HOLE) sent.push_back(piece);
          ASSERT_LT(i, 100u);
        }

        expect_as_read(stream, walker);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace remora
