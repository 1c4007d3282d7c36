// SPDX-License-Identifier: Apache-2.0
//
// Takes the connections of dead reals out of Katran's tables, so that it sends what is
// left of them elsewhere. A batch at a time, on the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <utility>
#include <vector>

#include "daemon/forwarders/katran_program.h"

namespace remora {

class KatranPurge {
 public:
  explicit KatranPurge(const std::vector<KatranConnections>& tables);

  // Those to a VIP; the real by its index in `reals`, which the VIP's ring must no longer
  // have: it would write new ones.
  void start(const Address& vip, std::uint32_t real);

  // Called often. Reads one batch. Throws std::system_error.
  void step();

  std::uint64_t purged() const { return purged_; }

 private:
  using Reader = BatchReader<KatranConnectionKey, KatranConnection>;
  using Dead = std::pair<KatranAddress, std::uint32_t>;
  struct Table {
    KatranConnections map;
    Reader reader;
  };

  std::deque<Table> tables_;  // by CPU
  std::size_t at_ = 0;        // the one that is being read
  std::set<Dead> dead_;       // of this pass over all tables
  std::set<Dead> coming_;     // of the next one
  std::uint64_t purged_ = 0;  // connections
};

}  // namespace remora
