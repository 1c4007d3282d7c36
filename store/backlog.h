// SPDX-License-Identifier: Apache-2.0
// Observations that wait to be written: their number is bounded, and they are merged per client if
// necessary.
//
// Observations wait in order, and each becomes a row. If there are too many, only the newest one of
// each client is kept of the later ones, so that the database still gets every client's present
// topic. No lock, clock or disk: the history guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/observation.h"

namespace remora {

struct Batch {
  std::vector<Observation> observations;  // those of one client in the order in which they came
  std::vector<LastSeen> last_seen;
  std::vector<Home> homes;
  std::vector<Operation> operations;
};

class Backlog {
 public:
  // At most `limit` observations in order, as many merged ones, homes and operations, and
  // `last_seen_limit` last-seen times.
  Backlog(std::size_t limit, std::size_t last_seen_limit);

  void add(Observation observation);
  void add(LastSeen seen);
  // One of those that wait already takes the place of the older one.
  void add(Home home);
  void add(Operation operation);

  // Returns all observations that wait in order or, once these are finished, all merged ones,
  // sorted by position. They still count as waiting until they are finished or given back.
  Batch take();
  void finish(std::size_t observations);
  void give_back(Batch rest);

  bool is_merging() const { return !merging_.empty(); }
  bool empty() const {
    return depth() == 0 && last_seen_.empty() && homes_.empty() && operations_.empty();
  }
  // Number of observations that are not finished.
  std::size_t depth() const { return rows_.size() + merging_.size() + taken_; }
  std::uint64_t merged() const { return merged_; }
  std::uint64_t lost() const { return lost_; }
  std::uint64_t last_seen_lost() const { return last_seen_lost_; }

 private:
  struct Client {
    std::string service;
    std::string address;
    bool operator==(const Client&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Client& client) const noexcept;
  };

  std::size_t limit_;
  std::size_t last_seen_limit_;
  std::vector<Observation> rows_;
  // Newer than all of rows_: while it is not empty, nothing is added to rows_.
  std::unordered_map<Client, Observation, Hash> merging_;
  std::vector<LastSeen> last_seen_;
  std::map<std::pair<std::string, std::string>, Home> homes_;  // by service and identifier
  std::vector<Operation> operations_;
  std::size_t taken_ = 0;
  std::uint64_t merged_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t last_seen_lost_ = 0;
};

}  // namespace remora
