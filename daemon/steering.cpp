// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering.h"

#include <spdlog/spdlog.h>
#include <sys/random.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "bpf/parse.h"
#include "daemon/maglev.h"
#include "daemon/topic_filter.h"

namespace remora {
namespace {

constexpr __u32 kOnly = 0;
constexpr std::size_t kBatch = 4096;

// The secret of the topic hash: made once, and kept while the maps are pinned.
::topic_keys keys_in_force(const Tables& tables) {
  ::topic_keys keys = tables.topic_keys.find(kOnly).value_or(::topic_keys{});
  if (keys.start[0] != 0) return keys;
  auto* bytes = reinterpret_cast<char*>(&keys);
  for (std::size_t done = 0; done < sizeof(keys);) {
    const ssize_t got = getrandom(bytes + done, sizeof(keys) - done, 0);
    if (got < 0) throw std::system_error(errno, std::generic_category(), "cannot draw random keys");
    done += static_cast<std::size_t>(got);
  }
  keys.start[0] |= 1;  // not 0, which says "none yet"
  tables.topic_keys.put(kOnly, keys);
  return keys;
}

bool same_reals(const std::vector<Real>& left, const std::vector<Real>& right) {
  return std::ranges::equal(left, right, [](const Real& a, const Real& b) {
    return a.address == b.address && a.weight == b.weight;
  });
}

}  // namespace

Steering::Steering(const Tables& tables, Numbers& numbers)
    : tables_(tables), numbers_(numbers), keys_(keys_in_force(tables)) {}

::settings Steering::current_settings() const {
  return tables_.settings.find(kOnly).value_or(::settings{});
}

void Steering::apply(const Config& config, std::uint32_t link_mtu) {
  // What can fail for want of room comes first.
  for (const Group& group : config.groups) {
    numbers_.of_group(group.name);
    for (const Real& real : group.reals) numbers_.of_real(real.address);
  }
  for (const Service& service : config.services) numbers_.of_service(service.name);

  auto matching = std::make_shared<TopicMatching>();
  matching->keys = keys_;
  matching->routes = RouteTable(config.routes);
  for (const Group& group : config.groups) {
    matching->groups[group.name] = numbers_.of_group(group.name);
  }
  for (const Service& service : config.services) {
    matching->services[service.name] = {numbers_.of_service(service.name),
                                        matching->groups.at(service.default_group)};
  }
  matching_ = std::move(matching);

  write_groups(config);
  ::settings next = current_settings();
  next.abi = REMORA_ABI;
  next.link_mtu = link_mtu;
  next.resets_per_second = config.mispredict.resets_per_second;
  next.resets_per_client = config.mispredict.resets_per_client;
  next.connections_per_client = config.limits.connections_per_client;
  next.outer_source4 = config.lb.outer_source4.value_or(Address()).abi();
  next.outer_source6 = config.lb.outer_source6.value_or(Address()).abi();
  if (next.generation == 0) next.all_group = NO_GROUP;
  tables_.settings.put(kOnly, next);
  write_routes(config);
  write_services(config);
}

void Steering::write_groups(const Config& config) {
  std::map<std::string, GroupInForce> next;
  for (const Group& group : config.groups) {
    const std::uint16_t number = numbers_.of_group(group.name);
    const auto before = groups_.find(group.name);
    if (before == groups_.end() || !same_reals(before->second.reals, group.reals)) {
      std::vector<RingReal> members;
      for (const Real& real : group.reals) {
        members.push_back({real.address, real.weight, numbers_.of_real(real.address)});
      }
      const std::vector<std::uint32_t> ring = build_ring(members, RingVariant::kMaglevV2);
      std::vector<std::uint32_t> slots(ring.size());
      std::iota(slots.begin(), slots.end(), std::uint32_t{number} * RING_SIZE);
      tables_.rings.put_all(slots, ring);
    }
    const ::group entry{.vip = group.vip.abi(),
                        .vip_num = number,
                        .policy = static_cast<__u8>(policy_of(config, group)),
                        .in_use = 1,
                        .pad = 0};
    tables_.groups.put(number, entry);
    next[group.name] = {number, group.reals};
  }
  // A group that is gone keeps its number and its flows; it takes no new ones.
  for (std::uint16_t number = 0; number < config.limits.groups; ++number) {
    const std::optional<std::string> name = numbers_.group_name(number);
    if (!name || next.contains(*name)) continue;
    ::group entry = tables_.groups.find(number).value_or(::group{});
    entry.in_use = 0;
    tables_.groups.put(number, entry);
  }
  groups_ = std::move(next);
}

void Steering::write_services(const Config& config) {
  std::set<std::pair<Address, __be16>> wanted;
  endpoints_.clear();
  for (const Service& service : config.services) {
    const auto [number, default_group] = matching_->services.at(service.name);
    const __be16 port = host_to_net16(service.port);
    tables_.services.put({service.address.abi(), port, 0}, {number, default_group, 0});
    wanted.insert({service.address, port});
    endpoints_[number] = {service.address, port};
  }
  std::vector<service_key> gone;
  BatchReader<service_key, service> reader(tables_.services, kMaxServices);
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    for (const service_key& key : keys) {
      if (!wanted.contains({Address(key.address), key.port})) gone.push_back(key);
    }
  }
  for (const service_key& key : gone) tables_.services.erase(key);
}

void Steering::write_routes(const Config& config) {
  ::settings next = current_settings();
  const std::uint32_t before = next.generation;
  next.generation = before + 1 == 0 ? 1 : before + 1;
  next.prefix_reach = 0;
  next.all_group = NO_GROUP;

  for (const Route& route : config.routes) {
    const std::uint16_t group = matching_->groups.at(route.group);
    const FilterKind kind = kind_of(route.filter);
    if (kind == FilterKind::kAll) {
      next.all_group = group;
      continue;
    }
    const std::string_view text =
        kind == FilterKind::kPrefix ? prefix_of(route.filter) : std::string_view(route.filter);
    const __u32 route_kind = kind == FilterKind::kPrefix ? ROUTE_PREFIX : ROUTE_EXACT;
    tables_.routes.put({matching_->hash(text), next.generation, route_kind}, {group, 0});
    if (kind == FilterKind::kPrefix) {
      next.prefix_reach = std::max(next.prefix_reach, static_cast<__u32>(text.size()) + 1);
    }
  }
  tables_.settings.put(kOnly, next);

  std::vector<route_key> old;
  BatchReader<route_key, route> reader(tables_.routes, kBatch);
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    for (const route_key& key : keys) {
      if (key.generation != next.generation) old.push_back(key);
    }
  }
  for (const route_key& key : old) tables_.routes.erase(key);
}

void Steering::set_link_mtu(std::uint32_t mtu) {
  ::settings next = current_settings();
  if (next.link_mtu == mtu) return;
  next.link_mtu = mtu;
  tables_.settings.put(kOnly, next);
  spdlog::info("the interface's MTU is now {}", mtu);
}

void Steering::set_gateway(const MacAddress& mac) {
  gateway entry{};
  std::ranges::copy(mac.bytes(), entry.mac);
  tables_.gateways.put(kOnly, entry);
}

std::optional<Endpoint> Steering::endpoint_of(std::uint16_t service) const {
  const auto found = endpoints_.find(service);
  return found == endpoints_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace remora
