// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/flow_counts.h"

#include <utility>

#include "daemon/sessions/living.h"

namespace remora {

std::uint64_t FlowCounts::of_real(std::uint16_t group, std::uint32_t real) const {
  const auto found = last_.by_real.find({group, real});
  return found == last_.by_real.end() ? 0 : found->second;
}

void FlowCounts::begin_pass(std::uint64_t /*now_ns*/) {
  current_ = {};
}

FlowVisitor::Verdict FlowCounts::visit(const flow_key& /*key*/, const flow& entry,
                                       std::uint64_t /*now_ns*/) {
  ++current_.flows;
  if (is_living(entry)) ++current_.by_real[{entry.group, entry.real}];
  return Verdict::kStays;
}

void FlowCounts::end_pass() {
  last_ = std::exchange(current_, {});
}

}  // namespace remora
