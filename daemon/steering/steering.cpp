// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/steering.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>

#include "bpf/parse.h"
#include "daemon/ring/maglev.h"
#include "log/log.h"

namespace remora {
namespace {

constexpr __u32 kOnly = 0;
constexpr std::size_t kBatch = 4096;

// The secret of the topic hash: made once, and kept while the maps are pinned.
::topic_keys keys_in_force(const Maps& maps) {
  ::topic_keys keys = maps.topic_keys.find(kOnly).value_or(::topic_keys{});
  if (keys.start[0] != 0) return keys;
  auto* bytes = reinterpret_cast<char*>(&keys);
  for (std::size_t done = 0; done < sizeof(keys);) {
    const ssize_t got = getrandom(bytes + done, sizeof(keys) - done, 0);
    if (got < 0) throw std::system_error(errno, std::generic_category(), "cannot draw random keys");
    done += static_cast<std::size_t>(got);
  }
  keys.start[0] |= 1;  // never 0, which means "none yet"
  maps.topic_keys.put(kOnly, keys);
  return keys;
}

service_key key_of(const Endpoint& service) {
  return {service.address.abi(), service.port, 0};
}

}  // namespace

Steering::Steering(const Maps& maps, Ids& ids, Forwarder& forwarder)
    : maps_(maps), ids_(ids), forwarder_(forwarder), keys_(keys_in_force(maps)) {}

::settings Steering::current_settings() const {
  return maps_.settings.find(kOnly).value_or(::settings{});
}

void Steering::apply(const Config& config, std::uint32_t link_mtu) {
  variant_ = config.lb.ring;
  // Steps that may fail for lack of room come first.
  freed_reals_ = ids_.make_room(config);
  for (const Group& group : config.groups) {
    ids_.of_group(group.name);
    for (const Real& real : group.reals) ids_.of_real(real.address);
  }
  for (const Service& service : config.services) ids_.of_service(service.at(), service.name);

  auto matching = std::make_shared<TopicMatching>();
  matching->keys = keys_;
  matching->routes = RouteTable(config.routes, keys_);
  for (const Group& group : config.groups) {
    matching->groups[group.name] = ids_.of_group(group.name);
  }
  for (const Service& service : config.services) {
    matching->services[service.at()] = {ids_.of_service(service.at(), service.name),
                                        service.default_group};
  }
  matching_ = std::move(matching);

  write_groups(config);
  ::settings next = current_settings();
  next.link_mtu = link_mtu;
  next.resets_per_second = config.mispredict.resets_per_second;
  next.resets_per_client = config.mispredict.resets_per_client;
  next.changes_per_day = config.mispredict.changes_per_day;
  next.connections_per_client = config.limits.connections_per_client;
  next.outer_source4 = config.lb.outer_source4.value_or(Address()).abi();
  next.outer_source6 = config.lb.outer_source6.value_or(Address()).abi();
  maps_.settings.put(kOnly, next);
  write_routes();
  write_services(config);
}

// Drains and deaths outlive the daemon in tables of their own. Reads them at the start, and removes
// entries whose reals or groups are no longer configured.
void Steering::remember(const Config& config) {
  const bool first = rings_.empty();
  reals_.configure(config.groups);
  remember_in(maps_.drains, [&](const std::string& group, const Address& real) {
    if (first) reals_.drain(group, real);
  });
  remember_in(maps_.deaths, [&](const std::string& group, const Address& real) {
    if (first) reals_.mark_dead(group, real);
  });
}

template <class Apply>
void Steering::remember_in(const BpfMap<drain_key, __u32>& table, Apply&& apply) {
  std::vector<drain_key> gone;
  BatchReader<drain_key, __u32> reader(table, kBatch);
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    for (const drain_key& key : keys) {
      const std::string group = ids_.group_name(key.group).value_or("");
      if (reals_.find(group, Address(key.real))) {
        apply(group, Address(key.real));
      } else {
        gone.push_back(key);
      }
    }
  }
  for (const drain_key& key : gone) table.erase(key);
}

std::vector<std::string> Steering::drain(const Address& real,
                                         const std::optional<std::string>& group) {
  std::vector<std::string> groups = reals_.groups_of(real, group);
  for (const std::string& name : groups) {
    maps_.drains.put({real.abi(), ids_.of_group(name), 0}, 1);
    reals_.drain(name, real);
    write_ring(name);
  }
  return groups;
}

std::vector<std::string> Steering::enable(const Address& real,
                                          const std::optional<std::string>& group) {
  std::vector<std::string> groups = reals_.groups_of(real, group);
  for (const std::string& name : groups) {
    maps_.drains.erase({real.abi(), ids_.of_group(name), 0});
    reals_.enable(name, real);
    write_ring(name);
  }
  return groups;
}

void Steering::mark_dead(const std::string& group, const Address& real) {
  maps_.deaths.put({real.abi(), ids_.of_group(group), 0}, 1);
  reals_.mark_dead(group, real);
  write_ring(group);
}

void Steering::mark_alive(const std::string& group, const Address& real) {
  maps_.deaths.erase({real.abi(), ids_.of_group(group), 0});
  reals_.mark_alive(group, real);
  write_ring(group);
}

// Writes nothing if the ring did not change.
void Steering::write_ring(const std::string& group) {
  Ring next;
  std::vector<RingReal> members;
  for (const Member& member : reals_.members(group)) {
    next[member.address] = member.effective_weight();
    members.push_back({member.address, member.effective_weight(), ids_.of_real(member.address)});
  }
  if (const auto before = rings_.find(group); before != rings_.end() && before->second == next) {
    return;
  }
  const std::vector<std::uint32_t> ring = build_ring(members, variant_);
  std::vector<std::uint32_t> slots(ring.size());
  std::iota(slots.begin(), slots.end(), std::uint32_t{ids_.of_group(group)} * RING_SIZE);
  maps_.rings.put_all(slots, ring);
  rings_[group] = std::move(next);
}

void Steering::write_groups(const Config& config) {
  remember(config);
  for (const Group& group : config.groups) write_ring(group.name);
  forwarder_.use(config, matching_->groups);
  std::set<std::string> configured;
  for (const Group& group : config.groups) {
    const std::uint16_t number = ids_.of_group(group.name);
    const ::group entry{.vip = group.vip.abi(),
                        .vip_num = number,
                        .policy = static_cast<__u8>(policy_of(config, group)),
                        .in_use = 1,
                        .outer_len = outer_length_of(group.name),
                        .affinity = static_cast<__u8>(group.affinity)};
    maps_.groups.put(number, entry);
    configured.insert(group.name);
  }
  // A removed group keeps its number and its flows, but takes no new ones.
  for (std::uint16_t number = 0; number < config.limits.groups; ++number) {
    const std::optional<std::string> name = ids_.group_name(number);
    if (!name || configured.contains(*name)) continue;
    ::group entry = maps_.groups.find(number).value_or(::group{});
    entry.in_use = 0;
    maps_.groups.put(number, entry);
  }
  std::erase_if(rings_, [&](const auto& ring) { return !configured.contains(ring.first); });
}

void Steering::write_services(const Config& config) {
  endpoints_.clear();
  for (const Service& service : config.services) {
    const std::uint16_t number = matching_->services.at(service.at()).number;
    const std::uint16_t default_group = matching_->groups.at(service.default_group);
    maps_.services.put(key_of(service.at()),
                       {number, default_group, static_cast<__u16>(service.unknown_clients), 0});
    endpoints_[number] = service.at();
  }
  std::vector<service_key> gone;
  BatchReader<service_key, service> reader(maps_.services, kMaxServices);
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    for (const service_key& key : keys) {
      const Endpoint at{Address(key.address), key.port};
      if (!matching_->services.contains(at)) gone.push_back(key);
    }
  }
  for (const service_key& key : gone) maps_.services.erase(key);
}

void Steering::write_routes() {
  ::settings next = current_settings();
  // Generation 0 means "no routes". The new shapes go into the unused half of `shape_sets`.
  next.generation = next.generation == UINT32_MAX ? 2 : next.generation + 1;
  const RouteTable& table = matching_->routes;
  for (const RouteTable::KernelRoute& route : table.kernel_routes()) {
    const std::uint16_t group = matching_->groups.at(std::string(route.group));
    maps_.routes.put(route_key(route.hash, next.generation, route.shape),
                     {next.generation, group, 0});
  }
  maps_.shape_sets.put(next.generation % 2, table.shapes());
  maps_.settings.put(kOnly, next);

  std::vector<__u64> old;
  BatchReader<__u64, route> reader(maps_.routes, kBatch);
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (values[i].generation != next.generation) old.push_back(keys[i]);
    }
  }
  for (const __u64 key : old) maps_.routes.erase(key);
}

// Keeps a length that was known before. If none was ever known, assumes the longer one.
std::uint8_t Steering::outer_length_of(const std::string& group) const {
  if (const auto length = forwarder_.outer_length(group)) return *length;
  const auto entry = maps_.groups.find(ids_.of_group(group));
  return entry && entry->outer_len != 0 ? entry->outer_len : sizeof(ipv6_header);
}

void Steering::update_outer_lengths() {
  for (const auto& [group, number] : matching_->groups) {
    auto entry = maps_.groups.find(number);
    const std::uint8_t length = outer_length_of(group);
    if (!entry || entry->outer_len == length) continue;
    entry->outer_len = length;
    maps_.groups.put(number, *entry);
  }
}

void Steering::ask(Asked asked) {
  const __u32 asks_all = asked == Asked::kEverybody ? 1 : 0;
  ::settings next = current_settings();
  if (next.asks_all == asks_all) return;
  next.asks_all = asks_all;
  maps_.settings.put(kOnly, next);
}

void Steering::set_link_mtu(std::uint32_t mtu) {
  ::settings next = current_settings();
  if (next.link_mtu == mtu) return;
  next.link_mtu = mtu;
  maps_.settings.put(kOnly, next);
  log::info("the interface's MTU is now {}", mtu);
}

void Steering::set_gateway(const MacAddress& mac) {
  gateway entry{};
  std::ranges::copy(mac.bytes(), entry.mac);
  maps_.gateways.put(kOnly, entry);
}

std::optional<BrokerWay> Steering::way_to(std::uint16_t group, std::uint32_t real) const {
  const auto entry = maps_.groups.find(group);
  if (!entry) return std::nullopt;
  auto way = forwarder_.way_to(Address(entry->vip), ids_.real_address(real));
  if (way) way->affinity = static_cast<Affinity>(entry->affinity);
  return way;
}

std::optional<Endpoint> Steering::endpoint_of(std::uint16_t service) const {
  const auto found = endpoints_.find(service);
  return found == endpoints_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace remora
