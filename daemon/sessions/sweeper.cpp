// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/sweeper.h"

#include <utility>

#include "daemon/base/clock.h"

namespace remora {
namespace {

constexpr std::uint64_t kSweepEveryNs = 10'000'000'000;

}  // namespace

Sweeper::Sweeper(const Maps& maps, const Ids& ids, History& history, IdleLimits limits)
    : maps_(maps), ids_(ids), history_(history), limits_(std::move(limits)) {}

bool Sweeper::is_over(const flow_key& key, const flow& entry, std::uint64_t now_ns) const {
  const std::uint64_t limit = limits_.of(key.service, entry);
  // The packet path may have updated the flow since `now_ns` was read.
  return now_ns > entry.seen_at_ns && now_ns - entry.seen_at_ns > limit;
}

// Returns whether the flow was removed.
bool Sweeper::remove(const flow_key& key, std::uint64_t now_ns) {
  const auto entry = maps_.flows.find(key);
  if (!entry || !is_over(key, *entry, now_ns) || !maps_.flows.erase(key)) return false;
  ++expired_;
  if (entry->state == FLOW_ESTABLISHED)
    maps_.predictions.release_connection({key.client, key.service, 0});
  return true;
}

void Sweeper::note(const flow_key& key, const flow& entry) {
  // Skips flows without a packet since the last pass, and those that taught nothing, whose
  // clients the history does not know.
  if (entry.seen_at_ns < last_pass_began_ns_ || entry.topic_hash == 0) return;
  const auto service = ids_.service_text(key.service);
  if (!service) return;
  seen_.push_back(
      {*service, to_string(Address(key.client)), Clocks().to_unix_ms(entry.seen_at_ns)});
}

void Sweeper::begin_pass(std::uint64_t now_ns) {
  takes_part_ = pass_began_ns_ == 0 || now_ns - pass_began_ns_ >= kSweepEveryNs;
  if (takes_part_) last_pass_began_ns_ = std::exchange(pass_began_ns_, now_ns);
}

FlowVisitor::Verdict Sweeper::visit(const flow_key& key, const flow& entry, std::uint64_t now_ns) {
  if (!takes_part_) return Verdict::kStays;
  note(key, entry);
  return is_over(key, entry, now_ns) && remove(key, now_ns) ? Verdict::kRemoved : Verdict::kStays;
}

void Sweeper::end_batch() {
  if (!seen_.empty()) history_.touch(std::exchange(seen_, {}));
}

}  // namespace remora
