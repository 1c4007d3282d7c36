// SPDX-License-Identifier: Apache-2.0
//
// Bytes on their way to a peer: which are written, which are copied, and which go to another
// broker.
#include "daemon/router/outbox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/support/mqtt_packets.h"
#include "tests/support/seeds.h"

namespace remora {
namespace {

using mqtt::ByteView;
using router::Outbox;

Bytes joined(Outbox& outbox) {
  Bytes bytes;
  for (const ByteView range : outbox.ranges())
    bytes.insert(bytes.end(), range.begin(), range.end());
  return bytes;
}

Bytes owned(ByteView view) {
  return {view.begin(), view.end()};
}

TEST(OutboxTest, NeighboursAreOneRangeAndNothingIsCopied) {
  const Bytes buffer = publish_packet("a", "1") + publish_packet("b", "2");
  Outbox outbox(Outbox::Unit::kPacket);
  outbox.append(ByteView(buffer).first(6));
  outbox.append(ByteView(buffer).subspan(6));

  ASSERT_EQ(outbox.ranges().size(), 1U);
  EXPECT_EQ(outbox.ranges()[0].data(), buffer.data());
  outbox.wrote(buffer.size());
  outbox.settle(0);
  EXPECT_EQ(outbox.unwritten(), 0U);
  EXPECT_EQ(outbox.owned(), 0U);
}

TEST(OutboxTest, WhatAWriteHasCutIsKeptFromItsBeginning) {
  Bytes buffer = publish_packet("a", "first") + publish_packet("b", "second");
  const Bytes second = publish_packet("b", "second");
  Outbox outbox(Outbox::Unit::kPacket);
  outbox.append(buffer);
  const std::size_t written = buffer.size() - 3;
  outbox.wrote(written);
  outbox.settle(0);
  std::ranges::fill(buffer, std::uint8_t{0xee});

  EXPECT_EQ(joined(outbox), bytes_of("ond"));
  EXPECT_EQ(owned(outbox.unsent()), second);
}

TEST(OutboxTest, APacketWhoseBeginningIsGoneIsNotSentAgain) {
  const Bytes long_one = publish_packet("a", std::string(100, 'x'));
  const Bytes next = publish_packet("b", "next");
  Outbox outbox(Outbox::Unit::kPacket);
  outbox.append(ByteView(long_one).first(50));
  outbox.wrote(50);
  outbox.settle(long_one.size() - 50);
  outbox.append(ByteView(long_one).subspan(50));
  outbox.append_copy(next);
  outbox.wrote(10);
  outbox.settle(0);

  EXPECT_EQ(owned(outbox.unsent()), next);
}

// A plain list of packets predicts the output for any order of appending and writing.
TEST(OutboxTest, AnyWritesLeaveWholePackets) {
  const auto [first, rounds] = seeds(300);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    Outbox outbox(Outbox::Unit::kPacket);
    Bytes sent, got;
    std::vector<std::size_t> starts;
    std::size_t open = 0;
    Bytes rest;
    for (int step = 0; step < 30; ++step) {
      Bytes buffer;
      const std::size_t goes_on = std::min<std::size_t>(rest.size(), random() % 200);
      buffer.insert(buffer.end(), rest.begin(),
                    rest.begin() + static_cast<std::ptrdiff_t>(goes_on));
      rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(goes_on));
      if (rest.empty()) {
        for (std::size_t count = random() % 4; count > 0; --count) {
          starts.push_back(sent.size() + buffer.size());
          buffer = buffer + publish_packet("t", std::string(random() % 150, 'x'));
        }
        if (random() % 2 == 0) {
          const Bytes packet = publish_packet("u", std::string(200 + random() % 300, 'y'));
          const auto cut = static_cast<std::ptrdiff_t>(10 + random() % 100);
          starts.push_back(sent.size() + buffer.size());
          buffer.insert(buffer.end(), packet.begin(), packet.begin() + cut);
          rest.assign(packet.begin() + cut, packet.end());
        }
      }
      open = rest.size();
      sent = sent + buffer;
      if (random() % 3 == 0) {
        outbox.append_copy(buffer);
      } else {
        outbox.append(buffer);
      }
      const Bytes offered = joined(outbox);
      const std::size_t written =
          random() % 3 == 0 ? offered.size() : random() % (offered.size() + 1);
      got.insert(got.end(), offered.begin(),
                 offered.begin() + static_cast<std::ptrdiff_t>(written));
      outbox.wrote(written);
      outbox.settle(open);
      std::ranges::fill(buffer, std::uint8_t{0xee});

      ASSERT_EQ(got + joined(outbox), sent);
      const Bytes unsent = owned(outbox.unsent());
      const std::size_t begin = sent.size() - unsent.size();
      ASSERT_EQ(Bytes(sent.begin() + static_cast<std::ptrdiff_t>(begin), sent.end()), unsent);
      if (unsent.empty()) continue;
      // It begins with a packet, of which not all is written, or with all that is unwritten.
      ASSERT_TRUE(std::ranges::count(starts, begin) == 1);
      const auto next = std::ranges::upper_bound(starts, begin);
      ASSERT_TRUE(next == starts.end() || *next > got.size());
    }
  }
}

}  // namespace
}  // namespace remora
