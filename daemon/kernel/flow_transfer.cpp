// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/flow_transfer.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "daemon/base/clock.h"

namespace remora {
namespace {

constexpr std::size_t kBatch = 4096;
// The packet path's clock lags by up to a tick, 10 ms at most.
constexpr std::uint64_t kTickNs = 10'000'000;

}  // namespace

FlowTransfer::FlowTransfer(Fd flows, Fd places_taken, MapConverter converter)
    : flows_(std::move(flows)),
      places_taken_(std::move(places_taken)),
      converter_(std::move(converter)) {}

// Calls `take` for the flows in the order of their places.
template <class Take>
void FlowTransfer::for_each_flow(const Take& take) {
  const bpf_map_info info = map_info(flows_.get());
  // The kernel keeps the values of an array at multiples of 8 bytes.
  const std::size_t stride = (std::size_t{info.value_size} + 7) / 8 * 8;
  const Mapped<std::byte> memory(flows_.get(), info.max_entries * stride, "the former flows");
  __u32 taken = 0;
  const __u32 only = 0;
  if (bpf_map_lookup_elem(places_taken_.get(), &only, &taken) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot read the former places_taken");
  }
  for (__u32 number = 1; number <= taken && number < info.max_entries; ++number) {
    const EntryView place(memory.data() + number * stride, info.value_size);
    const auto entry = converter_.convert(std::as_bytes(std::span(&number, 1)), place);
    if (!entry) continue;
    flow_place now;
    std::memcpy(&now, entry->value.data(), sizeof(now));
    if (now.flow.state != 0) take(now.key, now.flow);
  }
}

CopyCounts FlowTransfer::move_to(const FlowTable& to) {
  moved_at_ns_ = monotonic_ns();
  CopyCounts counts;
  std::vector<flow_key> keys;
  std::vector<flow> flows;
  const auto flush = [&] {
    const std::uint64_t filled = to.fill(keys, flows);
    counts.copied += filled;
    counts.lost += keys.size() - filled;
    keys.clear();
    flows.clear();
  };
  for_each_flow([&](const flow_key& key, const flow& entry) {
    keys.push_back(key);
    flows.push_back(entry);
    if (keys.size() == kBatch) flush();
  });
  flush();
  return counts;
}

CopyCounts FlowTransfer::catch_up(const FlowTable& to) {
  CopyCounts counts;
  for_each_flow([&](const flow_key& key, const flow& entry) {
    if (entry.seen_at_ns + kTickNs < moved_at_ns_) return;
    counts.copied += to.put_if_newer(key, entry) ? 1 : 0;
  });
  return counts;
}

}  // namespace remora
