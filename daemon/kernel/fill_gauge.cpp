// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/fill_gauge.h"

#include <algorithm>
#include <cstring>

#include "bpf/table.h"

namespace remora {

std::optional<std::uint64_t> FillGauge::used() const {
  return is_small() ? count() : last_;
}

std::uint64_t FillGauge::count() const {
  RawBatchReader entries = reader();
  std::uint64_t sum = 0;
  for (auto batch = entries.next(); batch.count > 0; batch = entries.next()) sum += used_in(batch);
  return sum;
}

std::uint64_t FillGauge::used_in(const RawBatchReader::Batch& batch) const {
  if (!is_sets_) return batch.count;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < batch.count; ++i) {
    table_set set;
    std::memcpy(&set, batch.values + i * value_size_, sizeof(set));
    used += static_cast<std::uint64_t>(
        std::ranges::count_if(set.claim, [](__u64 claim) { return (claim & TABLE_USED) != 0; }));
  }
  return used;
}

void FillGauge::step() {
  if (is_small()) return;
  const auto batch = reader_.next();
  counted_ += used_in(batch);
  if (batch.count == 0) last_ = std::exchange(counted_, 0);
}

std::vector<FillGauge> fill_gauges(const Programs& programs, const Limits& limits) {
  std::vector<FillGauge> gauges;
  for (const MapSpec& map : map_list()) {
    if (!map.is(kGauged)) continue;
    // Only the table of half-open connections consists of sets.
    const std::uint64_t limit = map.is(kSets) ? limits.half_open : map.entries(limits);
    gauges.emplace_back(map, programs.map_fd(map.name), limit);
  }
  return gauges;
}

}  // namespace remora
