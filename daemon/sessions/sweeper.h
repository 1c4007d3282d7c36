// SPDX-License-Identifier: Apache-2.0
//
// Goes through the flow table, a batch at a time: removes what is over, counts what
// each real has, and tells the history when each client was last seen.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "daemon/kernel/ids.h"
#include "daemon/kernel/maps.h"
#include "store/history.h"

namespace remora {

class Sweeper {
 public:
  // All must outlive it. `idle_ns`: after that an established flow is taken for
  // gone.
  Sweeper(const Maps& maps, const Ids& ids, History& history, std::uint64_t idle_ns);

  void set_idle_ns(std::uint64_t idle_ns) { idle_ns_ = idle_ns; }

  // One batch. Called often; a pass over the whole table begins anew when the
  // last one is at least kPassEvery old.
  void step();

  std::uint64_t expired() const { return expired_; }
  // Flows at the end of the last whole pass.
  std::uint64_t flows() const { return flows_; }
  // Of these, the established ones of a group's real, by its index in `reals`.
  std::uint64_t flows_of(std::uint16_t group, std::uint32_t real) const;

 private:
  bool is_over(const flow& entry, std::uint64_t now_ns) const;
  void remove(const flow_key& key, std::uint64_t now_ns);
  void note(const flow_key& key, const flow& entry);

  const Maps& maps_;
  const Ids& ids_;
  History& history_;
  std::uint64_t idle_ns_;
  FlowReader reader_;
  std::uint64_t pass_began_ns_ = 0;
  std::uint64_t last_pass_began_ns_ = 0;
  std::uint64_t flows_in_pass_ = 0;
  std::uint64_t flows_ = 0;
  // By group and real.
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::uint64_t> counts_in_pass_;
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::uint64_t> counts_;
  std::uint64_t expired_ = 0;
  std::vector<LastSeen> seen_;
  bool in_pass_ = false;
};

}  // namespace remora
