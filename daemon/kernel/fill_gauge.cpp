// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/fill_gauge.h"

#include <algorithm>
#include <cstring>

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
  if (!is_sets()) return batch.count;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < batch.count; ++i) {
    table_set set;
    std::memcpy(&set, batch.values + i * value_size_, sizeof(set));
    used += static_cast<std::uint64_t>(std::ranges::count_if(
        set.claim, [&](__u64 claim) { return (claim & counted_claims_) != 0; }));
  }
  return used;
}

void FillGauge::step() {
  if (is_small()) return;
  const auto batch = reader_.next();
  counted_ += used_in(batch);
  if (batch.count == 0) last_ = std::exchange(counted_, 0);
}

// Bits of a claim in a table of sets: an entry with one of them is counted.
std::uint64_t FillGauge::counted_claims(const MapSpec& spec) {
  if (!spec.is(kSets)) return 0;
  return spec.is(kRanked) ? TABLE_RANK : TABLE_USED;
}

std::vector<FillGauge> fill_gauges(const Programs& programs, const Limits& limits) {
  std::vector<FillGauge> gauges;
  for (const MapSpec& map : map_list()) {
    if (!map.is(kGauged)) continue;
    // A table of sets has fewer elements than entries.
    std::uint64_t limit = map.entries(limits);
    if (map.is(kSets)) limit = map.is(kRanked) ? limits.clients : limits.half_open;
    gauges.emplace_back(map, programs.map_fd(map.name), limit);
  }
  return gauges;
}

}  // namespace remora
