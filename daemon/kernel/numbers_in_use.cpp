// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/numbers_in_use.h"

#include <tuple>

namespace remora {
namespace {

constexpr std::size_t kBatch = 65'536;

template <class Reader, class Visit>
void for_each(Reader&& reader, Visit&& visit) {
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    for (std::size_t i = 0; i < keys.size(); ++i) visit(keys[i], values[i]);
  }
}

}  // namespace

NumbersInUse numbers_in_use(const Maps& maps) {
  NumbersInUse in_use;
  const auto add_flow = [&](const flow_key& key, const flow& entry) {
    in_use.services.insert(key.service);
    in_use.groups.insert(entry.group);
    in_use.reals.insert(entry.real);
  };
  // The order matters: a half-open connection may become a flow meanwhile.
  maps.half_open.for_each(
      [&](const half_open_key& key, const flow& entry) { add_flow(key.flow, entry); });
  for_each(FlowReader(maps.flows, kBatch), add_flow);
  maps.predictions.for_each([&](const client& entry, std::uint16_t) {
    in_use.services.insert(entry.service);
    in_use.groups.insert(entry.group);
  });
  for_each(BatchReader<service_key, service>(maps.services, kMaxServices),
           [&](const service_key&, const service& entry) {
             in_use.services.insert(entry.number);
             in_use.groups.insert(entry.default_group);
           });
  std::set<std::uint16_t> groups_with_ring;
  for_each(BatchReader<__u32, group>(maps.groups, kMaxGroups),
           [&](__u32 number, const group& entry) {
             if (entry.in_use) groups_with_ring.insert(static_cast<std::uint16_t>(number));
           });
  for_each(BatchReader<__u32, __u32>(maps.rings, kBatch), [&](__u32 slot, __u32 real) {
    if (groups_with_ring.contains(static_cast<std::uint16_t>(slot / RING_SIZE)))
      in_use.reals.insert(real);
  });
  in_use.groups.merge(groups_with_ring);
  return in_use;
}

}  // namespace remora
