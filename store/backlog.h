// SPDX-License-Identifier: Apache-2.0
// What waits to be written: bounded, and merged per client when it must be.
//
// Observations wait in order, each to become a row of its own. Once there are
// too many, later ones wait one a client, the newest replacing the older, and
// the database still ends up with every client's present topic. No lock, clock
// or disk: the history guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/observation.h"

namespace remora {

// What one transaction writes.
struct Batch {
  std::vector<Observation> observations;  // in the order in which they came
  std::vector<LastSeen> last_seen;

  bool empty() const { return observations.empty() && last_seen.empty(); }
};

class Backlog {
 public:
  // At most `limit` observations in order, `limit` clients merged and
  // `last_seen_limit` last-seen times.
  Backlog(std::size_t limit, std::size_t last_seen_limit);

  void add(Observation observation);
  void add(LastSeen seen);

  // Hands out the oldest, at most `size` of each kind. What is handed out still
  // fills the backlog until it is finished or given back.
  Batch take(std::size_t size);
  void finish();
  void give_back(Batch batch);

  bool empty() const { return depth() == 0 && last_seen_.empty() && !taken_last_seen_; }
  // Observations that are not finished.
  std::size_t depth() const { return rows_.size() + merging_.size() + taken_rows_; }
  std::uint64_t merged() const { return merged_; }
  std::uint64_t lost() const { return lost_; }

 private:
  struct Client {
    std::string service;
    std::string address;
    bool operator==(const Client&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Client& client) const noexcept;
  };

  const std::size_t limit_;
  const std::size_t last_seen_limit_;
  std::deque<Observation> rows_;
  // Newer than all of rows_: while it holds anything, nothing is added there.
  std::unordered_map<Client, Observation, Hash> merging_;
  std::unordered_map<Client, std::int64_t, Hash> last_seen_;
  std::size_t taken_rows_ = 0;
  std::size_t taken_last_seen_ = 0;
  std::uint64_t merged_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace remora
