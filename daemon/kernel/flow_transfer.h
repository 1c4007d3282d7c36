// SPDX-License-Identifier: Apache-2.0
//
// Moves the connections of a flow table of another size or ABI into the present one.
//
// The packet path writes the old table until the new programs are in their slots. So most flows
// are moved before that, and the packet path's later changes after it.
#pragma once

#include <cstdint>

#include "daemon/base/fd.h"
#include "daemon/kernel/flow_table.h"
#include "daemon/kernel/map_copy.h"

namespace remora {

class FlowTransfer {
 public:
  // `flows` and `places_taken` of the old table.
  FlowTransfer(Fd flows, Fd places_taken, MapConverter converter);

  // Copies into a table that no packet uses yet. Throws std::system_error.
  CopyCounts move_to(const FlowTable& to);

  // Call this when the old table is no longer written: copies flows that got packets there since
  // move_to(), unless the new table has seen later ones.
  CopyCounts catch_up(const FlowTable& to);

 private:
  template <class Take>
  void for_each_flow(const Take& take);

  const Fd flows_;
  const Fd places_taken_;
  MapConverter converter_;
  std::uint64_t moved_at_ns_ = 0;
};

}  // namespace remora
