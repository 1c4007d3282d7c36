// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/severance.h"

#include "daemon/sessions/condemn.h"
#include "daemon/sessions/living.h"

namespace remora {
namespace {

constexpr std::uint32_t kSetsPerStep = 1024;  // sets of half-open connections
// Connections that one step ends, in some ten milliseconds.
constexpr std::size_t kMostPerStep = 500;
constexpr std::size_t kMostWaiting = 8 * FlowScan::kBatch;
// Two, because a connection may be established at a place that the first pass has left behind.
constexpr unsigned kPasses = 2;
constexpr std::uint64_t kPatienceNs = 2'100'000'000;

}  // namespace

// A client that does not answer the last question is gone, or its host sends a RST by itself.
Severance::Severance(const Maps& maps, const Steering& steering, Ender& ender)
    : maps_(maps),
      steering_(steering),
      ender_(ender),
      questions_(maps, steering, ender, FLOW_CONDEMNED, kPatienceNs,
                 [](const flow_key&, const flow&, std::uint64_t) {}) {}

void Severance::start(std::uint16_t group, std::uint32_t real) {
  dead_[{group, real}] = {};
}

void Severance::stop(std::uint16_t group, std::uint32_t real) {
  dead_.erase({group, real});
}

void Severance::forget(std::uint32_t real) {
  std::erase_if(dead_, [&](const auto& each) { return each.first.second == real; });
}

bool Severance::is_meant(const flow& entry) const {
  return dead_.contains({entry.group, entry.real});
}

void Severance::step(std::uint64_t now_ns) {
  if (!dead_.empty()) read_half_open();
  for (std::size_t i = 0; i < kMostPerStep && !waiting_.empty(); ++i) {
    sever(waiting_.front(), now_ns);
    waiting_.pop_front();
  }
  if (waiting_.empty()) {
    std::erase_if(dead_, [](const auto& each) {
      return each.second.flow_passes >= kPasses && each.second.half_open_passes >= kPasses;
    });
  }
  questions_.step(now_ns);
}

bool Severance::wants_pass() const {
  return !dead_.empty() && waiting_.empty();
}

void Severance::begin_pass(std::uint64_t /*now_ns*/) {
  has_left_out_ = false;
  for (auto& [real, progress] : dead_) progress.is_in_pass = true;
}

FlowVisitor::Verdict Severance::visit(const flow_key& key, const flow& entry,
                                      std::uint64_t /*now_ns*/) {
  if (!is_living(entry) || !is_meant(entry)) return Verdict::kStays;
  if (waiting_.size() < kMostWaiting)
    waiting_.push_back(key);
  else
    has_left_out_ = true;
  return Verdict::kStays;
}

void Severance::end_pass() {
  for (auto& [real, progress] : dead_) {
    if (progress.is_in_pass && !has_left_out_) ++progress.flow_passes;
  }
}

void Severance::read_half_open() {
  next_set_ = maps_.half_open.visit(next_set_, kSetsPerStep,
                                    [&](const half_open_key& key, const flow& entry) {
                                      if (is_meant(entry)) maps_.half_open.erase(key);
                                    });
  if (next_set_ < maps_.half_open.sets()) return;
  next_set_ = 0;
  for (auto& [real, progress] : dead_) ++progress.half_open_passes;
}

// A key may wait twice, its flow may have ended, or the real may be alive again.
void Severance::sever(const flow_key& key, std::uint64_t now_ns) {
  const auto entry = maps_.flows.find(key);
  if (!entry || !steering_.endpoint_of(key.service) || !is_meant(*entry)) return;
  if (!is_living(*entry)) return;
  if (entry->state == FLOW_ESTABLISHED)
    maps_.predictions.release_connection({key.client, key.service, 0});
  condemn(maps_, steering_, ender_, key, *entry);
  ++severed_;
  questions_.ask(key, *entry, now_ns);
}

}  // namespace remora
