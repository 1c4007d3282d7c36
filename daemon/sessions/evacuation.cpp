// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/evacuation.h"

#include <algorithm>
#include <utility>

#include "daemon/sessions/condemn.h"

namespace remora {
namespace {

// Time for a client to answer, and then to complete its messages of QoS 2: ten seconds together.
constexpr std::uint64_t kPatienceNs = 2'800'000'000;
constexpr std::uint64_t kMorePatienceNs = 10'000'000'000 - kPatienceNs;
// Seconds of the rate that may be caught up with after a pause of the loop.
constexpr double kMostSaved = 0.2;

// Whether the packet path may still be waiting for messages of QoS 2. A client that has sent some
// may begin the next one before the last one is complete.
bool may_wait_for_qos2(const flow& entry) {
  return entry.stream.blind != 0 || entry.open_qos2 != 0 || (entry.flags & FLOW_QOS2) != 0;
}

}  // namespace

Evacuation::Evacuation(const Maps& maps, const Steering& steering, Ender& ender)
    : maps_(maps),
      steering_(steering),
      ender_(ender),
      questions_(maps, steering, ender, FLOW_LEAVING, kPatienceNs,
                 [this](const flow_key& key, const flow& entry, std::uint64_t now_ns) {
                   if (may_wait_for_qos2(entry)) {
                     patient_questions_.ask(key, entry, now_ns);
                   } else {
                     force(key, entry);
                   }
                 }),
      patient_questions_(maps, steering, ender, FLOW_LEAVING, kMorePatienceNs,
                         [this](const flow_key& key, const flow& entry, std::uint64_t now_ns) {
                           hurry(key, entry, now_ns);
                         }),
      last_questions_(maps, steering, ender, FLOW_HURRIED, kPatienceNs,
                      [this](const flow_key& key, const flow& entry, std::uint64_t /*now_ns*/) {
                        force(key, entry);
                      }) {}

bool Evacuation::Target::has(const flow& entry) const {
  return entry.state == FLOW_ESTABLISHED && entry.real == real && groups.contains(entry.group);
}

double Evacuation::Target::most_allowance() const {
  return std::max(1.0, kMostSaved * per_second);
}

void Evacuation::start(std::uint32_t real, std::set<std::uint16_t> groups,
                       std::uint32_t per_second) {
  stop(real);
  for (const std::uint16_t group : groups) rates_[{group, real}] = per_second;
  targets_.push_back({.real = real, .groups = std::move(groups), .per_second = per_second});
}

void Evacuation::stop(std::uint32_t real) {
  targets_.remove_if([&](const Target& target) { return target.real == real; });
  std::erase_if(rates_, [&](const auto& rate) { return rate.first.second == real; });
}

bool Evacuation::is_evacuated(std::uint16_t group, std::uint32_t real) const {
  return std::ranges::any_of(targets_, [&](const Target& target) {
    return target.real == real && target.groups.contains(group);
  });
}

std::optional<std::uint32_t> Evacuation::rate(std::uint16_t group, std::uint32_t real) const {
  const auto found = rates_.find({group, real});
  return found == rates_.end() ? std::nullopt : std::optional(found->second);
}

void Evacuation::step(std::uint64_t now_ns) {
  for (Target& target : targets_) {
    if (target.counted_at_ns != 0) {
      target.allowance += static_cast<double>(now_ns - target.counted_at_ns) / 1e9 *
                          static_cast<double>(target.per_second);
    }
    target.counted_at_ns = now_ns;
    target.allowance = std::min(target.allowance, target.most_allowance());
    while (target.allowance >= 1 && !target.waiting.empty()) {
      if (ask(target, target.waiting.front(), now_ns)) target.allowance -= 1;
      target.waiting.pop_front();
    }
  }
  targets_.remove_if([](const Target& target) { return target.is_done; });
  last_questions_.step(now_ns);
  patient_questions_.step(now_ns);
  questions_.step(now_ns);
}

bool Evacuation::wants_pass() const {
  return std::ranges::any_of(targets_, [](const Target& target) {
    return static_cast<double>(target.waiting.size()) < target.allowance;
  });
}

void Evacuation::begin_pass(std::uint64_t /*now_ns*/) {
  for (Target& target : targets_) {
    target.is_in_pass = true;
    target.found_in_pass = !target.waiting.empty();
  }
}

// If there is no room for a flow, a later pass finds it.
FlowVisitor::Verdict Evacuation::visit(const flow_key& key, const flow& entry,
                                       std::uint64_t /*now_ns*/) {
  for (Target& target : targets_) {
    if (!target.has(entry)) continue;
    target.found_in_pass = true;
    const auto most = std::max(static_cast<double>(FlowScan::kBatch), target.most_allowance());
    if (static_cast<double>(target.waiting.size()) < most) target.waiting.push_back(key);
  }
  return Verdict::kStays;
}

// An evacuation is done when a whole pass over the table has found no flow.
void Evacuation::end_pass() {
  for (Target& target : targets_) target.is_done = target.is_in_pass && !target.found_in_pass;
}

// Returns whether the client was asked: a key may wait twice, and its flow may have ended.
bool Evacuation::ask(const Target& target, const flow_key& key, std::uint64_t now_ns) {
  const auto entry = maps_.flows.find(key);
  if (!entry || !target.has(*entry) || !steering_.endpoint_of(key.service)) return false;
  maps_.flows.set_state(key, FLOW_LEAVING);
  maps_.predictions.release_connection({key.client, key.service, 0});
  ++counts_.asked;
  questions_.ask(key, *entry, now_ns);
  return true;
}

// From now on the packet path ends the connection without regard to messages of QoS 2.
void Evacuation::hurry(const flow_key& key, const flow& entry, std::uint64_t now_ns) {
  if (!maps_.flows.change_state(key, FLOW_LEAVING, FLOW_HURRIED)) return;
  ++counts_.hurried;
  last_questions_.ask(key, entry, now_ns);
}

// The client's answer to another question gets the RST of a condemned flow.
void Evacuation::force(const flow_key& key, const flow& entry) {
  condemn(maps_, steering_, ender_, key, entry);
  ++counts_.forced;
  if (const auto service = steering_.endpoint_of(key.service)) {
    ender_.ask_client(key, *service, entry);
    ender_.ask_client_without_data(key, *service, entry);
  }
}

}  // namespace remora
