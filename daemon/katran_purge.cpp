// SPDX-License-Identifier: Apache-2.0
#include "daemon/katran_purge.h"

#include <utility>

namespace remora {
namespace {

constexpr std::size_t kBatch = 4096;

}  // namespace

KatranPurge::KatranPurge(const std::vector<KatranConnections>& tables) {
  for (const KatranConnections& table : tables) tables_.push_back({table, Reader(table, kBatch)});
}

void KatranPurge::start(std::uint32_t real) {
  if (!tables_.empty()) coming_.insert(real);
}

void KatranPurge::step() {
  if (reals_.empty()) reals_ = std::exchange(coming_, {});
  if (reals_.empty()) return;
  Table& table = tables_[at_];
  const auto [keys, values] = table.reader.next();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (reals_.contains(values[i].real) && table.map.erase(keys[i])) ++purged_;
  }
  if (!keys.empty()) return;
  at_ = (at_ + 1) % tables_.size();
  if (at_ == 0) reals_.clear();
}

}  // namespace remora
