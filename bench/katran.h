// SPDX-License-Identifier: Apache-2.0
//
// Upstream's Katran with the groups of the benchmark as its VIPs, alone and in the slot after
// the stage. Its connection tables have as much room as the chain's.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/upstream_katran.h"

namespace remora::bench {

class Katran {
 public:
  // Throws if the object cannot be loaded.
  explicit Katran(const std::string& object);

  int entry_fd() const { return katran_.program_fd(); }
  std::uint64_t packets_of(std::uint32_t group) const { return katran_.stats(group).packets; }
  // Packets without a known connection.
  std::uint64_t misses() const;

 private:
  UpstreamKatran katran_;
};

}  // namespace remora::bench
