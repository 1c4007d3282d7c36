// SPDX-License-Identifier: Apache-2.0
#include "tests/support/walker.h"

#include <algorithm>
#include <stdexcept>

namespace remora {

Walker::Walker(std::uint32_t first_seq) : first_seq_(first_seq), stream_{} {
  stream_begin(&stream_, first_seq);
}

// Appends the segment's part of the current topic to the parts before it.
void Walker::collect(const Piece& piece) {
  const topic_part part =
      part_of_topic(&stream_, piece.seq, static_cast<std::uint32_t>(piece.bytes.size()));
  if (part.from > text_.size()) throw std::logic_error("the walker stepped over some topic");
  if (part.offset + part.len > piece.bytes.size())
    throw std::logic_error("the walker found a topic outside of the segment");
  text_.resize(part.from);
  const auto begin = piece.bytes.begin() + part.offset;
  text_.append(begin, begin + part.len);
}

walk_place Walker::feed(const Piece& piece) {
  const auto length = static_cast<std::uint32_t>(piece.bytes.size());
  std::uint32_t offset = 0, late = 0;
  found found{};
  if (blind()) return WALK_NOTHING;
  const walk_place place = walk_begin(&stream_, piece.seq, length, &offset, &found);
  if (place != WALK_HERE) return place;

  while (offset < length) {
    const std::uint32_t count = std::min<std::uint32_t>(length - offset, MQTT_WINDOW);
    std::uint64_t window = 0;
    for (std::uint32_t i = 0; i < count; i++)
      window |= std::uint64_t{piece.bytes[offset + i]} << 8 * i;
    if (stream_.phase == STREAM_HEADER) packet_ = stream_.next;

    const walk_find find = walk_step(&stream_, piece.seq, length, window, count, &found);
    if (find == FOUND_BAD) {
      stream_.blind = 1;
      return place;
    }
    const std::size_t in_stream = packet_ - first_seq_;
    if (find == FOUND_OTHER) seen_.push_back({.offset = in_stream});
    if (find == FOUND_CONNECT) keep_alive_ = found.keep_alive;
    if (find == FOUND_PUBLISH) {
      collect(piece);
      if (text_.size() != found.topic_len) throw std::logic_error("a topic that is not whole");
      seen_.push_back({.offset = in_stream, .topic = text_, .alias = found.alias});
    }
    if (find == FOUND_CUT) break;
    const std::uint32_t next = stream_wants(&stream_) - piece.seq;
    late = next == offset ? late + 1 : 0;
    if (next < offset || late > 1) throw std::logic_error("the walker stands still");
    offset = next;
  }
  if (is_in_publish(&stream_)) collect(piece);
  return place;
}

std::vector<Sighting> expected_sightings(const Bytes& stream) {
  std::vector<Sighting> expected;
  for (const StreamPacket& packet : read_stream(stream).packets)
    expected.push_back({.offset = packet.offset, .topic = packet.topic});
  return expected;
}

}  // namespace remora
