// SPDX-License-Identifier: Apache-2.0
#include "daemon/health/schedule.h"

#include <utility>
#include <vector>

#include "bpf/parse.h"

namespace remora {
namespace {

// A longer time between two calls of step() means that the loop was busy with something else.
constexpr std::uint64_t kPauseNs = 500'000'000;

std::string seconds(std::uint64_t ns) {
  return std::to_string(ns / 1'000'000'000) + " s";
}

}  // namespace

void CheckSchedule::use(Prober* prober, const std::map<CheckTarget, Address>& targets,
                        const CheckTiming& timing, const FirstGuess& first_guess,
                        std::uint64_t now_ns) {
  for (const auto& [id, target] : running_) prober_->end(id);
  running_.clear();
  prober_ = prober;
  timing_ = timing;
  Entries next;
  std::uint64_t place = 0;
  for (const auto& [target, address] : targets) {
    const auto known = entries_.find(target);
    const std::uint64_t due = now_ns + timing.interval_ns * place++ / targets.size();
    next.emplace(target, Entry{{address, host_to_net16(target.port)},
                               known == entries_.end() ? HealthState(first_guess(target), now_ns)
                                                       : known->second.state,
                               due});
  }
  entries_ = std::move(next);
}

void CheckSchedule::step(std::uint64_t now_ns) {
  const std::uint64_t pause = stepped_at_ns_ == 0 ? 0 : now_ns - stepped_at_ns_;
  stepped_at_ns_ = now_ns;
  for (auto& [target, entry] : entries_) {
    if (entry.running != 0) {
      if (pause > kPauseNs) entry.began_ns += pause;
      if (entry.began_ns + timing_.timeout_ns > now_ns) continue;
      const bool has_left = prober_->has_left(entry.running);
      prober_->end(entry.running);
      running_.erase(entry.running);
      take(target, entry, {false, "no answer within " + seconds(timing_.timeout_ns), !has_left},
           now_ns);
    }
    if (entry.due_ns <= now_ns) start(target, entry, now_ns);
  }
}

void CheckSchedule::abandon() {
  for (const auto& [id, target] : running_) {
    prober_->end(id);
    entries_.at(target).running = 0;
  }
  running_.clear();
}

void CheckSchedule::start(const CheckTarget& target, Entry& entry, std::uint64_t now_ns) {
  // The check keeps its place in the interval, also after a pause.
  const std::uint64_t behind = now_ns - entry.due_ns;
  entry.due_ns += (behind / timing_.interval_ns + 1) * timing_.interval_ns;
  entry.running = ++last_id_;
  entry.began_ns = now_ns;
  running_.emplace(entry.running, target);
  prober_->start(entry.running, entry.at);
}

void CheckSchedule::finish(std::uint64_t id, CheckResult result, std::uint64_t now_ns) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  const CheckTarget target = std::move(found->second);
  running_.erase(found);
  take(target, entries_.at(target), std::move(result), now_ns);
}

void CheckSchedule::take(const CheckTarget& target, Entry& entry, CheckResult result,
                         std::uint64_t now_ns) {
  entry.running = 0;
  if (result.is_local) return;
  if (!result.good && handlers_.is_host_in_order && !handlers_.is_host_in_order()) return;
  const bool was_dead = is_dead(target.group, target.real);
  if (!entry.state.take(std::move(result), timing_.thresholds, now_ns)) return;
  const bool dead = is_dead(target.group, target.real);
  if (dead == was_dead) return;
  (dead ? handlers_.on_dead : handlers_.on_alive)(target.group, target.real);
}

bool CheckSchedule::is_dead(const std::string& group, const Address& real) const {
  const HealthState* state = find(group, real);
  return state && state->is_dead();
}

const HealthState* CheckSchedule::find(const std::string& group, const Address& real) const {
  const HealthState* found = nullptr;
  for (auto at = entries_.lower_bound({group, real, Address(), 0});
       at != entries_.end() && at->first.group == group && at->first.real == real; ++at) {
    if (at->second.state.is_dead()) return &at->second.state;
    // Of several living services, prefer the one whose last check failed.
    if (!found || (found->last().good && !at->second.state.last().good)) found = &at->second.state;
  }
  return found;
}

}  // namespace remora
