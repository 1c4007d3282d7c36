// SPDX-License-Identifier: Apache-2.0
//
// Removes the connections of dead reals from Katran's tables, so that it sends their packets
// elsewhere. Works in batches on the loop's thread.
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

  // Removes connections of a VIP to a real, given by its index in `reals`. The VIP's ring must not
  // contain the real any more, or Katran would add new ones.
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
  std::size_t at_ = 0;        // the table that is being read
  std::set<Dead> dead_;       // for this pass over all tables
  std::set<Dead> coming_;     // for the next pass
  std::uint64_t purged_ = 0;  // connections
};

}  // namespace remora
