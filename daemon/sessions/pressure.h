// SPDX-License-Identifier: Apache-2.0
//
// Notices that the flow table is nearly full, and has every client questioned at its SYN
// (xdp/questions.h). Connections that were opened without an answer then give way to others,
// however many packets they are given. So forged ones cannot fill the table.
//
// A visitor of the flow table's scan. Between two passes it counts the connections established
// since, which are at least as many as the flows that were added.
#pragma once

#include <cstdint>

#include "daemon/kernel/flow_scan.h"
#include "daemon/kernel/maps.h"
#include "daemon/steering/steering.h"

namespace remora {

class Pressure : public FlowVisitor {
 public:
  // The table has room for `limit` flows. The references must outlive it.
  Pressure(const Maps& maps, Steering& steering, std::uint64_t limit);

  // Called every second.
  void step();

  void begin_pass(std::uint64_t now_ns) override;
  Verdict visit(const flow_key& key, const flow& entry, std::uint64_t now_ns) override;
  void end_pass() override;

 private:
  std::uint64_t established() const;
  std::uint64_t used() const;

  const Maps& maps_;
  Steering& steering_;
  const std::uint64_t high_, low_;  // flows
  std::uint64_t current_ = 0;       // flows found so far in this pass
  std::uint64_t current_from_ = 0;  // connections established before this pass
  std::uint64_t last_ = 0, last_from_ = 0;
  bool is_high_ = false;
};

}  // namespace remora
