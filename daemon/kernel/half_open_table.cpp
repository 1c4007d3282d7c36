// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/half_open_table.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

#include "daemon/base/bpf_map.h"
#include "daemon/base/clock.h"

namespace remora {
namespace {

constexpr std::size_t kCopiedAtOnce = 4096;

half_open_key key_of(const table_entry& entry) {
  half_open_key key{};
  std::memcpy(&key.flow, entry.word, sizeof(key.flow));
  key.isn = static_cast<__u32>(entry.word[2] >> 32);
  return key;
}

}  // namespace

HalfOpenTable::HalfOpenTable(int table_fd, int topic_keys_fd)
    : count_(map_info(table_fd).max_entries),
      sets_(table_fd, count_, "half_open"),
      topic_keys_fd_(topic_keys_fd) {}

// The secret is read each time, because remorad sets it after making this object.
half_open_set& HalfOpenTable::set_of(table_key& key) const {
  const auto keys = std::make_unique<topic_keys>();
  const __u32 only = 0;
  if (bpf_map_lookup_elem(topic_keys_fd_, &only, keys.get()) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot read the map topic_keys");
  }
  return sets_.data()[find_half_open_set(keys.get(), count_, &key)];
}

std::optional<flow> HalfOpenTable::find(const half_open_key& key) const {
  table_key its = half_open_table_key(&key.flow, key.isn);
  const half_open_set& set = set_of(its);
  const std::uint32_t way = table_find_in(&set.table, &its);
  return way < TABLE_WAYS ? std::optional(set.flow[way]) : std::nullopt;
}

bool HalfOpenTable::put(const half_open_key& key, const flow& entry) const {
  table_key its = half_open_table_key(&key.flow, key.isn);
  half_open_set& set = set_of(its);
  const table_terms terms{.age = half_open_age(entry.seen_at_ns),
                          .now = half_open_age(monotonic_ns()),
                          .holds = HALF_OPEN_HOLDS,
                          .rank = TABLE_RANK,
                          .by = TABLE_DAEMON};
  for (int attempt = 0; attempt < TABLE_ATTEMPTS; ++attempt) {
    std::uint32_t way = table_find_in(&set.table, &its);
    if (way < TABLE_WAYS) {
      set.flow[way] = entry;
      return true;
    }
    way = table_begin(&set.table, nullptr, &its, &terms);
    if (way == TABLE_NOWHERE + TABLE_REFUSED) return false;
    if (way >= TABLE_WAYS) continue;
    for (std::uint32_t i = 0; i < 3; ++i) TABLE_STORE(&set.table.entry[way].word[i], its.word[i]);
    TABLE_STORE(&set.table.entry[way].word[HALF_OPEN_SYN], entry.seen_at_ns);
    set.flow[way] = entry;
    table_publish(&set.table, way, terms.rank);
    return true;
  }
  return false;
}

bool HalfOpenTable::erase(const half_open_key& key) const {
  table_key its = half_open_table_key(&key.flow, key.isn);
  half_open_set& set = set_of(its);
  const std::uint32_t way = table_find_in(&set.table, &its);
  return way < TABLE_WAYS && table_erase(&set.table, way, &its) != 0;
}

std::uint64_t HalfOpenTable::size() const {
  std::uint64_t used = 0;
  for (std::uint32_t number = 0; number < count_; ++number) {
    for (const __u64& claim : sets_.data()[number].table.claim)
      used += (TABLE_LOAD(&claim) & TABLE_USED) != 0 ? 1 : 0;
  }
  return used;
}

void HalfOpenTable::mend() const {
  for (std::uint32_t number = 0; number < count_; ++number) table_mend(&sets_.data()[number].table);
}

// Reads the key consistently; the fields of the flow may be from different moments.
std::optional<std::pair<half_open_key, flow>> HalfOpenTable::read(std::uint32_t set,
                                                                  std::uint32_t way) const {
  const half_open_set& from = sets_.data()[set];
  const std::uint64_t before = TABLE_LOAD(&from.table.claim[way]);
  if (!(before & TABLE_USED)) return std::nullopt;
  table_entry entry{};
  for (std::uint32_t i = 0; i < 3; ++i) entry.word[i] = TABLE_LOAD(&from.table.entry[way].word[i]);
  const flow found = from.flow[way];
  const std::uint64_t after = TABLE_LOAD(&from.table.claim[way]);
  if (((before ^ after) & ~TABLE_AGE) != 0) return std::nullopt;  // by now another connection's
  return {{key_of(entry), found}};
}

CopyCounts copy_half_open(int from, MapConverter& converter, const HalfOpenTable& to,
                          int topic_keys_fd, Into into) {
  CopyCounts counts;
  const auto take = [&](const half_open_key& key, const flow& entry) {
    if (into == Into::kInUse && to.find(key)) return;
    to.put(key, entry) ? ++counts.copied : ++counts.lost;
  };
  const bpf_map_info info = map_info(from);
  if (info.type == BPF_MAP_TYPE_ARRAY) {
    HalfOpenTable(from, topic_keys_fd).for_each(take);
    return counts;
  }
  RawBatchReader reader(from, info.key_size, info.value_size, kCopiedAtOnce);
  for (auto batch = reader.next(); batch.count > 0; batch = reader.next()) {
    for (std::size_t i = 0; i < batch.count; ++i) {
      const auto entry = converter.convert({batch.keys + i * info.key_size, info.key_size},
                                           {batch.values + i * info.value_size, info.value_size});
      half_open_key key{};
      flow opened{};
      if (!entry || entry->key.size() != sizeof(key) || entry->value.size() != sizeof(opened)) {
        ++counts.lost;
        continue;
      }
      std::memcpy(&key, entry->key.data(), sizeof(key));
      std::memcpy(&opened, entry->value.data(), sizeof(opened));
      take(key, opened);
    }
  }
  return counts;
}

}  // namespace remora
