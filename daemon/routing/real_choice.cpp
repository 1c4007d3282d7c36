// SPDX-License-Identifier: Apache-2.0
#include "daemon/routing/real_choice.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace remora {
namespace {

// The finalizer of MurmurHash3.
std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ bits >> 33) * 0xff51afd7ed558ccd;
  bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53;
  return bits ^ bits >> 33;
}

double score(const RealChoice& real, std::uint64_t key) {
  const std::uint64_t hash = mixed(key ^ std::hash<Address>()(real.at.address));
  const double uniform = (static_cast<double>(hash >> 11) + 0.5) / 0x1p53;
  return -static_cast<double>(real.weight) / std::log(uniform);
}

}  // namespace

std::optional<RealChoice> choose_real(const std::vector<RealChoice>& reals, std::uint64_t key,
                                      unsigned attempt) {
  if (reals.empty()) return std::nullopt;
  std::vector<std::pair<double, const RealChoice*>> order;
  order.reserve(reals.size());
  for (const RealChoice& real : reals) order.emplace_back(-score(real, key), &real);
  std::ranges::sort(order);
  return *order[attempt % order.size()].second;
}

std::optional<Address> choose_source(const std::vector<Address>& sources, const Address& real,
                                     std::uint64_t key, unsigned attempt) {
  std::vector<Address> of_family;
  std::ranges::copy_if(sources, std::back_inserter(of_family),
                       [&](const Address& source) { return source.is_ipv4() == real.is_ipv4(); });
  if (of_family.empty()) return std::nullopt;
  return of_family[(mixed(key) + attempt) % of_family.size()];
}

}  // namespace remora
