// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/severance.h"

#include "daemon/sessions/condemn.h"

namespace remora {
namespace {

constexpr std::size_t kBatch = 4096;
// In one step: some ten milliseconds.
constexpr std::size_t kMostPerStep = 500;
// A pass that was under way may have been past an entry; the second one sees them all, and
// those that were established meanwhile.
constexpr unsigned kPasses = 2;
// Longer than the half second within which Linux answers one such question only.
constexpr std::uint64_t kAskAgainNs = 700'000'000;
constexpr std::uint32_t kMostQuestions = 3;

}  // namespace

Severance::Severance(const Maps& maps, const Steering& steering, Ender& ender)
    : maps_(maps),
      steering_(steering),
      ender_(ender),
      flows_(maps.flows, kBatch),
      half_open_(maps.half_open, kBatch) {}

void Severance::start(std::uint16_t group, std::uint32_t real) {
  dead_[{group, real}] = {};
}

void Severance::stop(std::uint16_t group, std::uint32_t real) {
  dead_.erase({group, real});
}

bool Severance::is_meant(const flow& entry) const {
  return dead_.contains({entry.group, entry.real});
}

void Severance::step(std::uint64_t now_ns) {
  if (!dead_.empty()) {
    if (waiting_.empty()) read_flows();
    read_half_open();
  }
  for (std::size_t i = 0; i < kMostPerStep && !waiting_.empty(); ++i) {
    sever(waiting_.front(), now_ns);
    waiting_.pop_front();
  }
  if (waiting_.empty()) {
    std::erase_if(dead_, [](const auto& each) {
      return each.second.flows >= kPasses && each.second.half_open >= kPasses;
    });
  }
  ask_again(now_ns);
}

void Severance::read_flows() {
  const auto [keys, values] = flows_.next();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const bool lives = values[i].state == FLOW_ESTABLISHED || values[i].state == FLOW_LEAVING;
    if (lives && is_meant(values[i])) waiting_.push_back(keys[i]);
  }
  if (!keys.empty()) return;
  for (auto& [real, passes] : dead_) ++passes.flows;
}

void Severance::read_half_open() {
  const auto [keys, values] = half_open_.next();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (is_meant(values[i])) maps_.half_open.erase(keys[i]);
  }
  if (!keys.empty()) return;
  for (auto& [real, passes] : dead_) ++passes.half_open;
}

// A key may wait twice, its flow be over, or the real live again.
void Severance::sever(const flow_key& key, std::uint64_t now_ns) {
  const auto entry = maps_.flows.find(key);
  const auto service = steering_.endpoint_of(key.service);
  if (!entry || !service || !is_meant(*entry)) return;
  if (entry->state == FLOW_ESTABLISHED) {
    release_connection(maps_, key.client);
  } else if (entry->state != FLOW_LEAVING) {
    return;
  }
  condemn(maps_, steering_, ender_, key, *entry);
  ++severed_;
  ender_.ask_client(key, *service, entry->end_seq);
  asked_.push_back({key, entry->isn, 1, now_ns});
}

// The question or the answer may have been lost. Whether the client is gone shows
// nowhere; its host then says so with a RST.
void Severance::ask_again(std::uint64_t now_ns) {
  while (!asked_.empty() && now_ns - asked_.front().at_ns >= kAskAgainNs) {
    const Asked asked = asked_.front();
    asked_.pop_front();
    const auto entry = maps_.flows.find(asked.key);
    const auto service = steering_.endpoint_of(asked.key.service);
    if (!entry || entry->isn != asked.isn || entry->state != FLOW_CONDEMNED || !service) continue;
    ender_.ask_client(asked.key, *service, entry->end_seq);
    if (asked.times + 1 < kMostQuestions) {
      asked_.push_back({asked.key, asked.isn, asked.times + 1, now_ns});
    }
  }
}

}  // namespace remora
