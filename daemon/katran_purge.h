// SPDX-License-Identifier: Apache-2.0
//
// Takes the connections of reals out of Katran's tables, so that it sends what is left
// of them elsewhere. A batch at a time, on the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

#include "daemon/katran_object.h"

namespace remora {

class KatranPurge {
 public:
  explicit KatranPurge(const std::vector<KatranConnections>& tables);

  // By its index in `reals`. It may stand in entries that are written meanwhile, which
  // only a ring that still has it can cause.
  void start(std::uint32_t real);

  // Called often. Reads one batch. Throws std::system_error.
  void step();

  std::uint64_t purged() const { return purged_; }

 private:
  using Reader = BatchReader<KatranConnectionKey, KatranConnection>;
  struct Table {
    KatranConnections map;
    Reader reader;
  };

  std::deque<Table> tables_;        // by CPU
  std::size_t at_ = 0;              // the one that is being read
  std::set<std::uint32_t> reals_;   // of this pass over all tables
  std::set<std::uint32_t> coming_;  // of the next one
  std::uint64_t purged_ = 0;        // connections
};

}  // namespace remora
