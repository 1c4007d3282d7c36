// SPDX-License-Identifier: Apache-2.0
#include "daemon/forwarders/katran_purge.h"

#include <utility>

namespace remora {
namespace {

constexpr std::size_t kBatch = 4096;

}  // namespace

KatranPurge::KatranPurge(const std::vector<KatranConnections>& tables) {
  for (const KatranConnections& table : tables) tables_.push_back({table, Reader(table, kBatch)});
}

void KatranPurge::start(const Address& vip, std::uint32_t real) {
  if (!tables_.empty()) coming_.emplace(katran_address(vip), real);
}

void KatranPurge::step() {
  if (dead_.empty()) dead_ = std::exchange(coming_, {});
  if (dead_.empty()) return;
  Table& table = tables_[at_];
  const auto [keys, values] = table.reader.next();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (dead_.contains({keys[i].vip, values[i].real}) && table.map.erase(keys[i])) ++purged_;
  }
  if (!keys.empty()) return;
  at_ = (at_ + 1) % tables_.size();
  if (at_ == 0) dead_.clear();
}

}  // namespace remora
