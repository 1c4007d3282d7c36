// SPDX-License-Identifier: Apache-2.0
//
// Drives the packet walker over segments as the mqtt stage does, and keeps what it
// found in terms of the whole stream.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bpf/mqtt.h"
#include "tests/support/mqtt_packets.h"
#include "tests/support/pieces.h"

namespace remora {

// One packet that the walker reported.
struct Sighting {
  std::size_t offset = 0;  // of the packet in the stream
  std::uint8_t first_byte = 0;
  walk_find kind = FOUND_OTHER;
  std::size_t topic_offset = 0;  // in the stream; with FOUND_PUBLISH and FOUND_CUT_TOPIC
  std::size_t topic_length = 0;
  std::string topic;  // with FOUND_PUBLISH

  bool operator==(const Sighting&) const = default;
};

class Walker {
 public:
  explicit Walker(std::uint32_t first_seq);

  // Walks one segment. A hole leaves the state as it was.
  walk_place feed(const Piece& piece);

  const std::vector<Sighting>& seen() const { return seen_; }
  bool blind() const { return stream_.blind != 0; }
  const stream& state() const { return stream_; }

 private:
  std::uint32_t first_seq_;
  stream stream_;
  std::vector<Sighting> seen_;
};

// What a walker must have seen once all of the stream went by in `cuts`-bounded
// pieces: everything, and the topic of every PUBLISH that no piece boundary cuts.
// A find of FOUND_CUT_TOPIC stands where one does.
std::vector<Sighting> expected_sightings(const Bytes& stream, const std::vector<Piece>& pieces,
                                         std::uint32_t first_seq);

}  // namespace remora
