// SPDX-License-Identifier: Apache-2.0
//
// Puts topics together that the kernel does not judge: it reports the piece that
// lies in each segment.
//
// Pure. Pieces come in any order, repeated and overlapping. What a client sends
// must not use up the daemon's memory: few topics are in progress at a time, and
// of one client fewer still; the oldest makes room. With 64 of 65535 bytes that
// is below 5 MB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "daemon/packets/record.h"

namespace remora {

class TopicPieces {
 public:
  static constexpr std::size_t kTopics = 64;
  static constexpr std::size_t kTopicsOfClient = 8;

  // The whole topic, once `piece`, an ACTION_PIECE record, was the last of it
  // that was missing. A byte that comes twice keeps its first value. `position`: where the
  // record lies in the ring.
  std::optional<std::string> add(const Record& piece, std::uint64_t position = 0);

  // The position of the first piece of all topics in progress; if there is none, the highest
  // number.
  std::uint64_t oldest() const;

  std::size_t in_progress() const { return topics_.size(); }
  // Topics of which pieces were missing for too long.
  std::uint64_t given_up() const { return given_up_; }

 private:
  struct Topic {
    flow_key flow;
    std::uint32_t seq;
    std::uint64_t position;  // of its first piece
    std::string text;
    std::vector<bool> is_there;
    std::size_t missing;
  };
  using Topics = std::list<Topic>;  // the oldest first

  Topics::iterator topic_of(const event& head, std::uint64_t position);
  void make_room(const address& client);

  Topics topics_;
  std::uint64_t given_up_ = 0;
};

}  // namespace remora
