// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/evacuation.h"

#include <algorithm>
#include <utility>

#include "daemon/sessions/condemn.h"

namespace remora {
namespace {

constexpr std::size_t kBatch = 4096;
// Longer than the half second within which Linux answers one such question only.
constexpr std::uint64_t kAskAgainNs = 700'000'000;
constexpr std::uint32_t kMostAttempts = 4;
// What may be made up for after a pause of the loop, seconds of the rate.
constexpr double kMostSaved = 0.2;

}  // namespace

Evacuation::Target::Target(const Maps& maps, std::uint32_t a_real,
                           std::set<std::uint16_t> some_groups, std::uint32_t rate)
    : real(a_real), groups(std::move(some_groups)), per_second(rate), reader(maps.flows, kBatch) {}

bool Evacuation::Target::has(const flow& entry) const {
  return entry.state == FLOW_ESTABLISHED && entry.real == real && groups.contains(entry.group);
}

void Evacuation::start(std::uint32_t real, std::set<std::uint16_t> groups,
                       std::uint32_t per_second) {
  stop(real);
  targets_.emplace_back(maps_, real, std::move(groups), per_second);
}

void Evacuation::stop(std::uint32_t real) {
  targets_.remove_if([&](const Target& target) { return target.real == real; });
}

bool Evacuation::is_evacuated(std::uint16_t group, std::uint32_t real) const {
  return std::ranges::any_of(targets_, [&](const Target& target) {
    return target.real == real && target.groups.contains(group);
  });
}

void Evacuation::step(std::uint64_t now_ns) {
  for (Target& target : targets_) {
    if (target.counted_at_ns != 0) {
      target.allowance += static_cast<double>(now_ns - target.counted_at_ns) / 1e9 *
                          static_cast<double>(target.per_second);
    }
    target.counted_at_ns = now_ns;
    target.allowance = std::min(target.allowance, std::max(1.0, kMostSaved * target.per_second));
    if (static_cast<double>(target.waiting.size()) < target.allowance) look_for_more(target);
    while (target.allowance >= 1 && !target.waiting.empty()) {
      if (ask(target, target.waiting.front(), now_ns)) target.allowance -= 1;
      target.waiting.pop_front();
    }
  }
  targets_.remove_if([](const Target& target) { return target.is_done; });
  while (!leaving_.empty() && now_ns - leaving_.front().asked_at_ns >= kAskAgainNs) {
    const Leaving leaving = leaving_.front();
    leaving_.pop_front();
    follow_up(leaving, now_ns);
  }
}

// Done when a whole pass over the table has found nobody.
void Evacuation::look_for_more(Target& target) {
  const auto [keys, values] = target.reader.next();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (target.has(values[i])) target.waiting.push_back(keys[i]);
  }
  target.found_in_pass = target.found_in_pass || !target.waiting.empty();
  if (keys.empty()) {
    target.is_done = !std::exchange(target.found_in_pass, false) && target.waiting.empty();
  }
}

// Returns whether it was this one's turn: a key may wait twice, or its flow be over.
bool Evacuation::ask(const Target& target, const flow_key& key, std::uint64_t now_ns) {
  const auto entry = maps_.flows.find(key);
  const auto service = steering_.endpoint_of(key.service);
  if (!entry || !target.has(*entry) || !service) return false;
  maps_.flows.set_state(key, FLOW_LEAVING);
  release_connection(maps_, key.client);
  ++counts_.asked;
  ender_.ask_client(key, *service, entry->end_seq);
  leaving_.push_back({key, entry->isn, 1, now_ns});
  return true;
}

void Evacuation::follow_up(Leaving leaving, std::uint64_t now_ns) {
  const auto entry = maps_.flows.find(leaving.key);
  const auto service = steering_.endpoint_of(leaving.key.service);
  if (!entry || entry->isn != leaving.isn || entry->state != FLOW_LEAVING || !service) return;
  if (leaving.attempts == kMostAttempts) {
    condemn(maps_, steering_, ender_, leaving.key, *entry);
    ++counts_.forced;
  } else {
    leaving_.push_back({leaving.key, leaving.isn, leaving.attempts + 1, now_ns});
  }
  ender_.ask_client(leaving.key, *service, entry->end_seq);
}

}  // namespace remora
