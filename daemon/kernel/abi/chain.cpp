// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/abi/chain.h"

#include <utility>

#include "bpf/abi.h"
#include "daemon/kernel/abi/abi_4.h"
#include "daemon/kernel/abi/from_4.h"

namespace remora {
namespace {

constexpr std::uint32_t kOldest = abi4::kAbi;
// Steps by the ABI from which they start, beginning with kOldest.
constexpr AbiChain::Step kSteps[] = {step_from_4};
static_assert(kOldest + std::size(kSteps) == REMORA_ABI, "each ABI has its converter");

}  // namespace

bool MapConverter::takes(std::uint32_t key_size, std::uint32_t value_size) const {
  return changes() && steps_.front().key_size == key_size &&
         steps_.front().value_size == value_size;
}

std::optional<MapConverter::Entry> MapConverter::convert(EntryView key, EntryView value) {
  for (const MapConversion& step : steps_) {
    next_key_.clear();
    next_value_.clear();
    if (!step.convert(key, value, next_key_, next_value_)) return std::nullopt;
    key_.swap(next_key_);
    value_.swap(next_value_);
    key = key_;
    value = value_;
  }
  return Entry{key, value};
}

std::optional<AbiChain> AbiChain::from(std::uint32_t abi, const OpenPin& pins) {
  if (abi < kOldest || abi > REMORA_ABI) return std::nullopt;
  std::vector<AbiStep> steps;
  for (std::uint32_t at = abi; at < REMORA_ABI; ++at) steps.push_back(kSteps[at - kOldest](pins));
  return AbiChain(std::move(steps));
}

MapConverter AbiChain::converter_of(std::string_view map) const {
  std::vector<MapConversion> conversions;
  for (const AbiStep& step : steps_) {
    for (const MapConversion& conversion : step.conversions) {
      if (conversion.map == map) conversions.push_back(conversion);
    }
  }
  return MapConverter(std::move(conversions));
}

std::vector<std::string_view> AbiChain::gone() const {
  std::vector<std::string_view> all;
  for (const AbiStep& step : steps_) all.insert(all.end(), step.gone.begin(), step.gone.end());
  return all;
}

}  // namespace remora
