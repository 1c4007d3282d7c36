// SPDX-License-Identifier: Apache-2.0
//
// Assembles topics that the kernel does not judge. It reports the piece that lies in each segment.
//
// Pure. Pieces come in any order, repeated and overlapping. Clients must not use up the daemon's
// memory, so few topics are in progress at a time, and even fewer of one client; the oldest one
// makes room. 64 topics of 65535 bytes take less than 5 MB.
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

  // Returns the whole topic if `piece`, an ACTION_PIECE record, completes it. A byte that comes
  // twice keeps its first value. `position` says where the record lies in the ring.
  std::optional<std::string> add(const Record& piece, std::uint64_t position = 0);

  // The position of the first piece of all topics in progress; the highest number if there is
  // none.
  std::uint64_t oldest() const;

  std::size_t in_progress() const { return topics_.size(); }
  // Number of topics whose pieces were missing for too long.
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
