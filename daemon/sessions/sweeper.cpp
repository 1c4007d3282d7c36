// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/sweeper.h"

#include <utility>

#include "daemon/base/clock.h"

namespace remora {
namespace {

constexpr std::size_t kBatch = 4096;
constexpr std::uint64_t kPassEvery = 10'000'000'000;
// Last ACKs still find their real, and a condemned client its RST.
constexpr std::uint64_t kLingerNs = 60'000'000'000;

}  // namespace

Sweeper::Sweeper(const Maps& maps, const Ids& ids, History& history, std::uint64_t idle_ns)
    : maps_(maps), ids_(ids), history_(history), idle_ns_(idle_ns), reader_(maps.flows, kBatch) {}

bool Sweeper::is_over(const flow& entry, std::uint64_t now_ns) const {
  const std::uint64_t limit = entry.state == FLOW_ESTABLISHED ? idle_ns_ : kLingerNs;
  // The packet path may have been here since `now_ns` was read.
  return now_ns > entry.seen_at_ns && now_ns - entry.seen_at_ns > limit;
}

void Sweeper::remove(const flow_key& key, std::uint64_t now_ns) {
  const auto entry = maps_.flows.find(key);
  if (!entry || !is_over(*entry, now_ns) || !maps_.flows.erase(key)) return;
  ++expired_;
  if (entry->state == FLOW_ESTABLISHED) release_connection(maps_, key.client);
}

void Sweeper::note(const flow_key& key, const flow& entry) {
  // Only what happened since the last pass; a flow that taught nothing belongs
  // to a client that the history does not know.
  if (entry.seen_at_ns < last_pass_began_ns_ || entry.topic_hash == 0) return;
  const auto service = ids_.service_name(key.service);
  if (!service) return;
  seen_.push_back(
      {*service, to_string(Address(key.client)), Clocks().to_unix_ms(entry.seen_at_ns)});
}

std::uint64_t Sweeper::flows_of(std::uint16_t group, std::uint32_t real) const {
  const auto found = counts_.find({group, real});
  return found == counts_.end() ? 0 : found->second;
}

void Sweeper::step() {
  const std::uint64_t now = monotonic_ns();
  if (!in_pass_) {
    if (pass_began_ns_ != 0 && now - pass_began_ns_ < kPassEvery) return;
    last_pass_began_ns_ = std::exchange(pass_began_ns_, now);
    flows_in_pass_ = 0;
    counts_in_pass_.clear();
    in_pass_ = true;
  }
  const auto [keys, values] = reader_.next();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    note(keys[i], values[i]);
    if (is_over(values[i], now)) {
      remove(keys[i], now);
    } else {
      ++flows_in_pass_;
      if (values[i].state == FLOW_ESTABLISHED || values[i].state == FLOW_LEAVING) {
        ++counts_in_pass_[{values[i].group, values[i].real}];
      }
    }
  }
  if (!seen_.empty()) history_.touch(std::exchange(seen_, {}));
  if (keys.empty()) {
    flows_ = flows_in_pass_;
    counts_.swap(counts_in_pass_);
    in_pass_ = false;
  }
}

}  // namespace remora
