// SPDX-License-Identifier: Apache-2.0
#include "tests/support/walker.h"

#include <algorithm>
#include <stdexcept>

namespace remora {

Walker::Walker(std::uint32_t first_seq) : first_seq_(first_seq), stream_{} {
  stream_begin(&stream_, first_seq);
}

walk_place Walker::feed(const Piece& piece) {
  const auto length = static_cast<std::uint32_t>(piece.bytes.size());
  std::uint32_t offset = 0;
  const walk_place place = walk_begin(&stream_, piece.seq, length, &offset);
  if (place != WALK_HERE || blind()) return place;

  while (offset < length) {
    const std::uint32_t count = std::min<std::uint32_t>(length - offset, MQTT_WINDOW);
    std::uint64_t window = 0;
    for (std::uint32_t i = 0; i < count; i++)
      window |= std::uint64_t{piece.bytes[offset + i]} << 8 * i;

    found found{};
    const walk_find kind = walk_step(&stream_, piece.seq, offset, length, window, count, &found);
    if (kind == FOUND_CUT) break;
    if (kind == FOUND_BAD) {
      stream_.blind = 1;
      break;
    }

    const auto in_stream = [&](std::int64_t in_payload) {
      return static_cast<std::uint32_t>(piece.seq - first_seq_ + in_payload);
    };
    Sighting sighting{.offset = in_stream(found.packet_offset),
                      .first_byte = found.first_byte,
                      .kind = kind,
                      .topic = {}};
    if (kind != FOUND_OTHER) {
      sighting.topic_offset = in_stream(found.topic_offset);
      sighting.topic_length = found.topic_len;
    }
    if (kind == FOUND_PUBLISH) {
      if (found.topic_offset + found.topic_len > length)
        throw std::logic_error("the walker found a topic outside of the segment");
      const auto topic = piece.bytes.begin() + found.topic_offset;
      sighting.topic.assign(topic, topic + found.topic_len);
    }
    seen_.push_back(sighting);
    if (found.next_offset <= offset) throw std::logic_error("the walker stands still");
    offset = found.next_offset;
  }
  return place;
}

std::vector<Sighting> expected_sightings(const Bytes& stream, const std::vector<Piece>& pieces,
                                         std::uint32_t first_seq) {
  // The pieces that carried something new, in the order of their ends.
  std::vector<std::size_t> ends;
  for (const Piece& piece : pieces) {
    const std::size_t end = piece.seq - first_seq + piece.bytes.size();
    if (ends.empty() || end > ends.back()) ends.push_back(end);
  }
  std::vector<Sighting> expected;
  for (const StreamPacket& packet : read_stream(stream).packets) {
    Sighting sighting{
        .offset = packet.offset, .first_byte = packet.first_byte, .kind = FOUND_OTHER, .topic = {}};
    if (packet.topic) {
      const std::size_t topic_end = packet.topic_offset + (stream[packet.topic_offset - 2] * 256u +
                                                           stream[packet.topic_offset - 1]);
      sighting.topic_offset = packet.topic_offset;
      sighting.topic_length = topic_end - packet.topic_offset;
      // The walker judges in the segment in which the topic's length is whole.
      const auto end = std::lower_bound(ends.begin(), ends.end(), packet.topic_offset);
      const bool whole = end != ends.end() && topic_end <= *end;
      sighting.kind = whole ? FOUND_PUBLISH : FOUND_CUT_TOPIC;
      if (whole) sighting.topic = *packet.topic;
    }
    expected.push_back(sighting);
  }
  return expected;
}

}  // namespace remora
