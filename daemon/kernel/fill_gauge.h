// SPDX-License-Identifier: Apache-2.0
//
// How full a hash map is. The kernel keeps no count, so the entries are counted: those of small
// tables at once, those of large tables a batch at a time on the loop.
#pragma once

#include <cstdint>

#include "daemon/base/bpf_map.h"

namespace remora {

template <class Key, class Value>
std::uint64_t count_entries(const BpfMap<Key, Value>& map) {
  constexpr std::size_t kBatchBytes = 1 << 20;
  BatchReader<Key, Value> reader(map, kBatchBytes / (sizeof(Key) + sizeof(Value)));
  std::uint64_t count = 0;
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    count += keys.size();
  }
  return count;
}

template <class Key, class Value>
class FillGauge {
 public:
  FillGauge(const BpfMap<Key, Value>& map, std::uint64_t limit)
      : map_(map), limit_(limit), reader_(map, kStepBytes / kEntryBytes) {}

  std::uint64_t limit() const { return limit_; }

  // For a large table: as of the last complete walk.
  std::uint64_t used() const { return is_small() ? count_entries(map_) : last_; }

  // Counts all entries at once, before the loop runs.
  void recount() { last_ = count_entries(map_); }

  // Counts the next batch of a large table.
  void step() {
    if (is_small()) return;
    const std::size_t batch = reader_.next().first.size();
    counted_ += batch;
    if (batch == 0) last_ = std::exchange(counted_, 0);
  }

 private:
  static constexpr std::size_t kEntryBytes = sizeof(Key) + sizeof(Value);
  static constexpr std::uint64_t kSmallBytes = 8 << 20;  // read in a few milliseconds
  static constexpr std::size_t kStepBytes = 384 << 10;

  bool is_small() const { return limit_ * kEntryBytes <= kSmallBytes; }

  const BpfMap<Key, Value>& map_;
  const std::uint64_t limit_;
  BatchReader<Key, Value> reader_;
  std::uint64_t counted_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace remora
