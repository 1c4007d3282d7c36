// SPDX-License-Identifier: Apache-2.0
//
// How full the tables are. The kernel keeps no count, so the entries are counted: those of small
// tables at once, those of large tables a batch at a time on the loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "bpf/table.h"
#include "daemon/base/bpf_map.h"
#include "daemon/config/map_list.h"
#include "daemon/kernel/programs.h"

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

class FillGauge {
 public:
  // `map` must outlive the gauge.
  FillGauge(const MapSpec& spec, int map, std::uint64_t limit)
      : name_(spec.name),
        map_(map),
        key_size_(spec.key_size),
        value_size_(spec.value_size),
        limit_(limit),
        counted_claims_(counted_claims(spec)),
        reader_(reader()) {}

  std::string_view name() const { return name_; }
  std::uint64_t limit() const { return limit_; }

  // Entries in use. For a large table, as of the last complete walk; no value until the first one
  // has ended, a few seconds after the start for a million entries. Throws std::system_error.
  std::optional<std::uint64_t> used() const;

  // Counts the next batch of a large table. Throws std::system_error.
  void step();

 private:
  static constexpr std::uint64_t kSmallBytes = 8 << 20;  // read in a few milliseconds
  static constexpr std::size_t kStepBytes = 384 << 10;

  std::size_t entry_bytes() const { return key_size_ + value_size_; }
  bool is_small() const {
    return limit_ * entry_bytes() / (is_sets() ? TABLE_WAYS : 1) <= kSmallBytes;
  }
  bool is_sets() const { return counted_claims_ != 0; }
  RawBatchReader reader() const {
    return {map_, key_size_, value_size_, kStepBytes / entry_bytes()};
  }
  static std::uint64_t counted_claims(const MapSpec& spec);
  std::uint64_t used_in(const RawBatchReader::Batch& batch) const;
  std::uint64_t count() const;

  std::string_view name_;  // of a row of map_list()
  int map_;
  std::size_t key_size_;
  std::size_t value_size_;
  std::uint64_t limit_;
  std::uint64_t counted_claims_;  // 0: the map's values are no sets of entries
  RawBatchReader reader_;
  std::uint64_t counted_ = 0;
  std::optional<std::uint64_t> last_;
};

// A gauge for each map with the trait kGauged, in the order of map_list().
std::vector<FillGauge> fill_gauges(const Programs& programs, const Limits& limits);

}  // namespace remora
