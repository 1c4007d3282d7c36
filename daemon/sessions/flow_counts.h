// SPDX-License-Identifier: Apache-2.0
//
// The number of flows, in all and by real, as of the last pass over the table.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "daemon/kernel/flow_scan.h"

namespace remora {

class FlowCounts : public FlowVisitor {
 public:
  // All flows of the table.
  std::uint64_t used() const { return last_.flows; }
  // Established flows of a group's real, given by its index in `reals`.
  std::uint64_t of_real(std::uint16_t group, std::uint32_t real) const;

  void begin_pass(std::uint64_t now_ns) override;
  Verdict visit(const flow_key& key, const flow& entry, std::uint64_t now_ns) override;
  void end_pass() override;

 private:
  struct Counts {
    std::uint64_t flows = 0;
    std::map<std::pair<std::uint16_t, std::uint32_t>, std::uint64_t> by_real;  // group, real
  };
  Counts current_;
  Counts last_;
};

}  // namespace remora
