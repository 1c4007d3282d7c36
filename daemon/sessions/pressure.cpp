// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/pressure.h"

#include <utility>

#include "log/log.h"

namespace remora {

Pressure::Pressure(const Maps& maps, Steering& steering, std::uint64_t limit)
    : maps_(maps),
      steering_(steering),
      high_(limit - limit / 4),
      low_(limit - limit * 3 / 8),
      last_from_(established()) {}

std::uint64_t Pressure::established() const {
  return read_counter(maps_, COUNT_ESTABLISHED);
}

std::uint64_t Pressure::used() const {
  return last_ + (established() - last_from_);
}

void Pressure::step() {
  const std::uint64_t flows = used();
  if (!is_high_ && flows >= high_) {
    is_high_ = true;
    log::warn("the flow table is nearly full: every client is asked whether it is there");
  } else if (is_high_ && flows < low_) {
    is_high_ = false;
    log::info("the flow table has room again");
  }
  steering_.ask(is_high_ ? Steering::Asked::kEverybody : Steering::Asked::kDoubted);
}

void Pressure::begin_pass(std::uint64_t /*now_ns*/) {
  current_ = 0;
  current_from_ = established();
}

FlowVisitor::Verdict Pressure::visit(const flow_key& /*key*/, const flow& /*entry*/,
                                     std::uint64_t /*now_ns*/) {
  ++current_;
  return Verdict::kStays;
}

void Pressure::end_pass() {
  last_ = current_;
  last_from_ = current_from_;
}

}  // namespace remora
