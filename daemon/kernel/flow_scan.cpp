// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/flow_scan.h"

#include <algorithm>

namespace remora {
namespace {

// A pass over few flows costs almost nothing, and keeps the figures of `status` up to date.
constexpr std::uint64_t kIntervalNs = 10'000'000'000;
constexpr std::uint64_t kIntervalOfFewNs = 1'000'000'000;

}  // namespace

bool FlowScan::is_due(std::uint64_t now_ns) const {
  return is_first_ || now_ns - began_at_ns_ >= interval_ns_ ||
         std::ranges::any_of(visitors_, &FlowVisitor::wants_pass);
}

void FlowScan::begin_pass(std::uint64_t now_ns) {
  in_pass_ = true;
  is_first_ = false;
  began_at_ns_ = now_ns;
  flows_in_pass_ = 0;
  for (FlowVisitor* visitor : visitors_) visitor->begin_pass(now_ns);
}

void FlowScan::step(std::uint64_t now_ns) {
  if (!in_pass_) {
    if (!is_due(now_ns)) return;
    begin_pass(now_ns);
  }
  reclaimer_.step();
  const auto [keys, flows] = reader_.next();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (FlowVisitor* visitor : visitors_) {
      if (visitor->visit(keys[i], flows[i], now_ns) == FlowVisitor::Verdict::kRemoved) break;
    }
  }
  flows_in_pass_ += keys.size();
  for (FlowVisitor* visitor : visitors_) visitor->end_batch();
  if (!keys.empty()) return;
  in_pass_ = false;
  interval_ns_ = flows_in_pass_ <= kBatch ? kIntervalOfFewNs : kIntervalNs;
  for (FlowVisitor* visitor : visitors_) visitor->end_pass();
}

void FlowScan::run_pass(std::uint64_t now_ns) {
  begin_pass(now_ns);
  while (in_pass_) step(now_ns);
}

}  // namespace remora
