// SPDX-License-Identifier: Apache-2.0
//
// Removes flows that have ended, and tells the history when each client was last seen.
//
// It must be the first visitor of the flow table's scan: the others do not see flows it removes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "daemon/kernel/flow_scan.h"
#include "daemon/kernel/ids.h"
#include "daemon/kernel/maps.h"
#include "daemon/sessions/idle_limits.h"
#include "store/history.h"

namespace remora {

class Sweeper : public FlowVisitor {
 public:
  // All references must outlive it.
  Sweeper(const Maps& maps, const Ids& ids, History& history, IdleLimits limits);

  // Sets how long flows may be without a packet from now on.
  void use(IdleLimits limits) { limits_ = std::move(limits); }

  std::uint64_t expired() const { return expired_; }

  // Takes part in at most one pass in ten seconds.
  void begin_pass(std::uint64_t now_ns) override;
  Verdict visit(const flow_key& key, const flow& entry, std::uint64_t now_ns) override;
  void end_batch() override;

 private:
  bool is_over(const flow_key& key, const flow& entry, std::uint64_t now_ns) const;
  bool remove(const flow_key& key, std::uint64_t now_ns);
  void note(const flow_key& key, const flow& entry);

  const Maps& maps_;
  const Ids& ids_;
  History& history_;
  IdleLimits limits_;
  bool takes_part_ = false;
  std::uint64_t pass_began_ns_ = 0;       // the last pass in which it took part
  std::uint64_t last_pass_began_ns_ = 0;  // the one before
  std::uint64_t expired_ = 0;
  std::vector<LastSeen> seen_;
};

}  // namespace remora
