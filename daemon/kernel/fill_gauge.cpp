// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/fill_gauge.h"

namespace remora {

std::optional<std::uint64_t> FillGauge::used() const {
  return is_small() ? count() : last_;
}

std::uint64_t FillGauge::count() const {
  RawBatchReader entries = reader();
  std::uint64_t sum = 0;
  while (const std::size_t batch = entries.next().count) sum += batch;
  return sum;
}

void FillGauge::step() {
  if (is_small()) return;
  const std::size_t batch = reader_.next().count;
  counted_ += batch;
  if (batch == 0) last_ = std::exchange(counted_, 0);
}

std::vector<FillGauge> fill_gauges(const Programs& programs, const Limits& limits) {
  std::vector<FillGauge> gauges;
  for (const MapSpec& map : map_list()) {
    if (map.is(kGauged)) gauges.emplace_back(map, programs.map_fd(map.name), map.entries(limits));
  }
  return gauges;
}

}  // namespace remora
