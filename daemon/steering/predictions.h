// SPDX-License-Identifier: Apache-2.0
//
// Brings the kernel's predictions and the history together: fills the table from
// it at the start, and matches known topics anew when routes change.
//
// Matching a million clients takes seconds, so it runs on a thread of its own;
// that thread touches the map and the history, both of which allow it.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <thread>

#include "daemon/kernel/maps.h"
#include "daemon/steering/topic_matching.h"
#include "store/history.h"

namespace remora {

class Predictions {
 public:
  // `maps` and `history` must outlive it; `limit`: entries of the table.
  Predictions(const Maps& maps, History& history, std::uint64_t limit);

  enum class Found : std::uint8_t {
    kNewTable,  // empty, and no packet is judged yet: written in batches
    kInUse,     // what the kernel learned stays as it is
  };
  // Fills the table from the history, the last seen clients first, as far as
  // there is room: an old client must not push out one seen later. Returns how
  // many were written. Before the loop runs.
  std::uint64_t load(const TopicMatching& matching, Found found);

  // Predictions whose topic now belongs to another group follow. Returns how
  // many. Ends early when stopped.
  std::uint64_t rematch(const TopicMatching& matching, const std::stop_token& stop);

  // The same on a thread of its own; a rematch that still runs is ended first.
  void start_rematch(std::shared_ptr<const TopicMatching> matching);

 private:
  std::uint64_t room(Found found) const;

  const Maps& maps_;
  History& history_;
  const std::uint64_t limit_;
  std::jthread rematching_;
};

}  // namespace remora
