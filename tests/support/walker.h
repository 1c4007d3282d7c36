// SPDX-License-Identifier: Apache-2.0
//
// Drives the packet walker over segments as the mqtt stage does, and keeps its findings with
// their places in the whole stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bpf/mqtt.h"
#include "tests/support/mqtt_packets.h"
#include "tests/support/pieces.h"

namespace remora {

// One packet that the walker reported.
struct Sighting {
  std::size_t offset = 0;              // place of the packet in the stream
  std::optional<std::string> topic{};  // if it is a PUBLISH
  std::uint16_t alias = 0;             // if it is a PUBLISH; 0: none

  bool operator==(const Sighting&) const = default;
};

class Walker {
 public:
  explicit Walker(std::uint32_t first_seq);

  // Walks one segment. A segment after a gap does not change the state.
  walk_place feed(const Piece& piece);

  const std::vector<Sighting>& seen() const { return seen_; }
  // Keepalive of the CONNECT, once it has been read.
  std::optional<std::uint16_t> keep_alive() const { return keep_alive_; }
  bool blind() const { return stream_.blind != 0; }
  const stream& state() const { return stream_; }

 private:
  void collect(const Piece& piece);

  std::uint32_t first_seq_;
  stream stream_;
  std::uint32_t packet_ = 0;  // sequence number of the current packet
  std::string text_;          // the current topic so far
  std::vector<Sighting> seen_;
  std::optional<std::uint16_t> keep_alive_;
};

// The findings that a walker must have after the whole stream, however TCP split it. They are
// without aliases.
std::vector<Sighting> expected_sightings(const Bytes& stream);

}  // namespace remora
