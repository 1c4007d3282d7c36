// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/ids.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "daemon/kernel/numbers_in_use.h"
#include "log/log.h"

namespace remora {
namespace {

name_key key_of(name_kind kind, const std::string& name) {
  name_key key{};
  key.kind = kind;
  name.copy(key.name, sizeof(key.name));
  return key;
}

std::string text_of(const name_key& key) {
  return {key.name, strnlen(key.name, sizeof(key.name))};
}

real entry_of(const Address& address) {
  real entry{};
  if (address.is_ipv4()) {
    entry.address[0] = address.ipv4();
  } else {
    std::ranges::copy(address.abi().word, entry.address);
    entry.flags = REAL_IPV6;
  }
  return entry;
}

// The address of an entry in `reals`; empty if the entry is unused.
std::optional<Address> address_of(const real& entry) {
  address words{};
  std::ranges::copy(entry.address, words.word);
  const Address found =
      (entry.flags & REAL_IPV6) != 0 ? Address(words) : Address::from_ipv4(entry.address[0]);
  return found.is_unspecified() ? std::nullopt : std::optional(found);
}

}  // namespace

Ids::Ids(const Maps& maps, std::uint32_t group_limit) : maps_(maps), group_limit_(group_limit) {
  BatchReader<name_key, __u32> names(maps.names, 256);
  for (auto [keys, values] = names.next(); !keys.empty(); std::tie(keys, values) = names.next()) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto number = static_cast<std::uint16_t>(values[i]);
      ids_[{keys[i].kind, text_of(keys[i])}] = number;
      names_[{keys[i].kind, number}] = text_of(keys[i]);
    }
  }
  for (__u32 index = 1; index <= kMaxReals; ++index) {
    if (const auto known = address_of(maps.reals.find(index).value_or(real{})))
      reals_[*known] = index;
    else
      free_reals_.insert(index);
  }
}

bool Ids::has_room(const Config& next) const {
  std::set<Address> reals;
  std::size_t groups = 0, services = 0;
  for (const Group& group : next.groups) {
    if (!ids_.contains({NAME_GROUP, group.name})) ++groups;
    for (const Real& real : group.reals)
      if (!reals_.contains(real.address)) reals.insert(real.address);
  }
  for (const Service& service : next.services)
    if (!ids_.contains({NAME_SERVICE, to_string(service.at())})) ++services;
  const auto used = [&](name_kind kind) {
    return static_cast<std::size_t>(std::ranges::count_if(
        names_, [&](const auto& entry) { return entry.first.first == kind; }));
  };
  return reals.size() <= free_reals_.size() && used(NAME_GROUP) + groups <= group_limit_ &&
         used(NAME_SERVICE) + services <= kMaxServices;
}

std::vector<std::uint32_t> Ids::make_room(const Config& next) {
  if (has_room(next)) return {};
  NumbersInUse in_use = numbers_in_use(maps_);
  for (const Group& group : next.groups) {
    if (const auto known = ids_.find({NAME_GROUP, group.name}); known != ids_.end())
      in_use.groups.insert(known->second);
    for (const Real& real : group.reals)
      if (const auto known = index_of(real.address)) in_use.reals.insert(*known);
  }
  for (const Service& service : next.services) {
    for (const std::string& name : {to_string(service.at()), service.name})
      if (const auto known = ids_.find({NAME_SERVICE, name}); known != ids_.end())
        in_use.services.insert(known->second);
  }
  std::vector<std::pair<name_kind, std::uint16_t>> names;
  for (const auto& [key, name] : names_) {
    const auto kind = static_cast<name_kind>(key.first);
    const auto& used = kind == NAME_GROUP ? in_use.groups : in_use.services;
    if (!used.contains(key.second)) names.emplace_back(kind, key.second);
  }
  for (const auto& [kind, number] : names) free_name(kind, number);
  std::vector<std::uint32_t> freed;
  std::erase_if(reals_, [&](const auto& entry) {
    if (in_use.reals.contains(entry.second)) return false;
    maps_.reals.put(entry.second, real{});
    free_reals_.insert(entry.second);
    freed.push_back(entry.second);
    return true;
  });
  log::info("{} numbers of former reals and {} of former groups and services are free again",
            freed.size(), names.size());
  return freed;
}

void Ids::free_name(name_kind kind, std::uint16_t number) {
  const auto named = names_.find({kind, number});
  maps_.names.erase(key_of(kind, named->second));
  ids_.erase({kind, named->second});
  names_.erase(named);
}

std::uint16_t Ids::number_of(name_kind kind, const std::string& name, std::uint32_t limit) {
  if (const auto known = ids_.find({kind, name}); known != ids_.end()) {
    return known->second;
  }
  for (std::uint32_t next = 0; next < limit; ++next) {
    const auto number = static_cast<std::uint16_t>(next);
    if (names_.contains({kind, number})) continue;
    maps_.names.put(key_of(kind, name), number);
    ids_[{kind, name}] = number;
    names_[{kind, number}] = name;
    return number;
  }
  throw std::runtime_error("no number is left for \"" + name +
                           "\": connections and predictions of former groups and services keep "
                           "theirs; raise limits.groups, or remorad --detach and start again");
}

std::uint16_t Ids::of_group(const std::string& name) {
  return number_of(NAME_GROUP, name, group_limit_);
}

std::uint16_t Ids::of_service(const Endpoint& at, const std::string& name) {
  const std::string text = to_string(at);
  if (!ids_.contains({NAME_SERVICE, text})) convert_service(name, text);
  return number_of(NAME_SERVICE, text, kMaxServices);
}

// A name never looks like an address and port: it has no colon.
void Ids::convert_service(const std::string& name, const std::string& at) {
  const auto named = ids_.find({NAME_SERVICE, name});
  if (named == ids_.end()) return;
  const std::uint16_t number = named->second;
  maps_.names.put(key_of(NAME_SERVICE, at), number);
  maps_.names.erase(key_of(NAME_SERVICE, name));
  ids_.erase(named);
  ids_[{NAME_SERVICE, at}] = number;
  names_[{NAME_SERVICE, number}] = at;
}

std::uint32_t Ids::of_real(const Address& address) {
  if (const auto known = reals_.find(address); known != reals_.end()) return known->second;
  if (free_reals_.empty()) {
    throw std::runtime_error("no number is left for the real " + to_string(address) +
                             ": connections of former reals keep theirs; wait for these to end, "
                             "or remorad --detach and start again");
  }
  const std::uint32_t index = *free_reals_.begin();
  maps_.reals.put(index, entry_of(address));
  free_reals_.erase(index);
  reals_[address] = index;
  return index;
}

std::optional<std::uint16_t> Ids::service_number(const Endpoint& at) const {
  const auto found = ids_.find({NAME_SERVICE, to_string(at)});
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::string> Ids::group_name(std::uint16_t number) const {
  const auto found = names_.find({NAME_GROUP, number});
  return found == names_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::string> Ids::service_text(std::uint16_t number) const {
  const auto found = names_.find({NAME_SERVICE, number});
  return found == names_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Address> Ids::real_address(std::uint32_t index) const {
  const auto found = maps_.reals.find(index);
  return index == 0 || !found ? std::nullopt : address_of(*found);
}

std::optional<std::uint32_t> Ids::index_of(const Address& real) const {
  const auto found = reals_.find(real);
  return found == reals_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace remora
