// SPDX-License-Identifier: Apache-2.0
//
// The steps that convert the pinned maps from their ABI to the present one.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "daemon/kernel/abi/conversion.h"

namespace remora {

// Converts the entries of one map through all steps. Without a step an entry stays as it is.
class MapConverter {
 public:
  MapConverter() = default;
  explicit MapConverter(std::vector<MapConversion> steps) : steps_(std::move(steps)) {}

  bool changes() const { return !steps_.empty(); }

  // Whether the first step was made for entries of these sizes.
  bool takes(std::uint32_t key_size, std::uint32_t value_size) const;

  struct Entry {
    EntryView key, value;
  };
  // The entry in the present layout, valid until the next call; no value: it is left out.
  std::optional<Entry> convert(EntryView key, EntryView value);

 private:
  std::vector<MapConversion> steps_;
  EntryBytes key_, value_, next_key_, next_value_;
};

class AbiChain {
 public:
  using Step = AbiStep (*)(const OpenPin&);

  // No value: no steps lead from that ABI to the present one.
  static std::optional<AbiChain> from(std::uint32_t abi, const OpenPin& pins);

  explicit AbiChain(std::vector<AbiStep> steps) : steps_(std::move(steps)) {}

  MapConverter converter_of(std::string_view map) const;

  // Maps that the present ABI does not have.
  std::vector<std::string_view> gone() const;

 private:
  std::vector<AbiStep> steps_;
};

}  // namespace remora
