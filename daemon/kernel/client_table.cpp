// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/client_table.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "daemon/base/bpf_map.h"
#include "daemon/base/clock.h"
#include "daemon/base/lesson_clock.h"

namespace remora {
namespace {

constexpr std::size_t kCopiedAtOnce = 4096;
// The sets to load into the cache ahead of the one that is worked on.
constexpr std::size_t kAhead = 8;

// The packet path holds an entry for some dozen nanoseconds. If it is held for longer, another
// thread of the daemon has been interrupted.
template <class Attempt>
auto until_done(const Attempt& attempt) {
  while (true) {
    if (const auto result = attempt()) return result;
    std::this_thread::yield();
  }
}

std::unique_ptr<topic_keys> read_keys(int fd) {
  auto keys = std::make_unique<topic_keys>();
  const __u32 only = 0;
  if (bpf_map_lookup_elem(fd, &only, keys.get()) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot read the map topic_keys");
  }
  return keys;
}

void prefetch(const table_set& set) {
  for (const auto* line = reinterpret_cast<const char*>(&set);
       line < reinterpret_cast<const char*>(&set + 1); line += 64) {
    __builtin_prefetch(line);
  }
}

client_key key_of(const client& entry) {
  return {entry.address, entry.service, 0};
}

}  // namespace

ClientTable::ClientTable(int table_fd, int topic_keys_fd)
    : count_(map_info(table_fd).max_entries),
      sets_(table_fd, count_, "predictions"),
      topic_keys_fd_(topic_keys_fd) {}

ClientTable::Site ClientTable::site_of(const topic_keys& keys, const client_key& client) const {
  Site site{client_table_key(&client.client, client.service), nullptr, nullptr};
  const client_sets found = find_client_sets(&keys, count_, &site.key);
  site.first = sets_.data() + found.first;
  site.second = sets_.data() + found.second;
  return site;
}

// Reads the secret each time: remorad sets it only after it has made this object.
ClientTable::Site ClientTable::site_of(const client_key& client) const {
  return site_of(*read_keys(topic_keys_fd_), client);
}

void ClientTable::merge(std::span<ClientLesson> lessons, std::uint32_t now) const {
  const auto keys = read_keys(topic_keys_fd_);
  std::vector<Site> sites;
  sites.reserve(lessons.size());
  for (const ClientLesson& each : lessons) sites.push_back(site_of(*keys, each.client));
  for (std::size_t i = 0; i < lessons.size(); ++i) {
    if (i + kAhead < sites.size()) {
      prefetch(*sites[i + kAhead].first);
      prefetch(*sites[i + kAhead].second);
    }
    ClientLesson& each = lessons[i];
    const Site& site = sites[i];
    client_lesson lesson{.lesson = each.lesson,
                         .before = {},
                         .kind = each.kind,
                         .now = now,
                         .by = TABLE_DAEMON,
                         .words = {},
                         .next = {}};
    each.outcome = static_cast<lesson_outcome>(until_done(
        [&] { return merge_client_lesson(site.first, site.second, &site.key, &lesson); }));
    each.lesson = lesson.lesson;
  }
}

std::optional<client> ClientTable::entry(const client_key& key) const {
  const Site site = site_of(key);
  const std::uint32_t at = table_find(site.first, site.second, &site.key);
  if (at >= TABLE_NOWHERE) return std::nullopt;
  client_words words{};
  std::uint32_t result = TABLE_BUSY;
  until_done([&] {
    result = table_read(table_set_at(site.first, site.second, at), table_way(at), &site.key,
                        &words.entry);
    return result != TABLE_BUSY;
  });
  return result == TABLE_DONE ? std::optional(words.client) : std::nullopt;
}

std::optional<prediction> ClientTable::find(const client_key& key) const {
  const auto found = entry(key);
  return found && was_taught(&*found) ? std::optional(client_prediction(&*found)) : std::nullopt;
}

// Returns whether there is an entry; `change` gets it.
template <class Change>
bool ClientTable::change(const client_key& key, const Change& change) const {
  const Site site = site_of(key);
  client_words words{};
  std::uint32_t at = TABLE_NOWHERE;
  until_done([&] {
    at = claim_client(site.first, site.second, &site.key, TABLE_DAEMON);
    return at <= TABLE_NOWHERE;
  });
  if (at == TABLE_NOWHERE) return false;
  table_set* set = table_set_at(site.first, site.second, at);
  const std::uint32_t way = table_way(at);
  load_client(set, way, &words);
  change(words.client);
  release_client(set, way, &words, table_age(TABLE_LOAD(&set->claim[way])));
  return true;
}

bool ClientTable::put(const client_key& key, const prediction& known) const {
  while (!change(key, [&](client& entry) { set_prediction(&entry, &known); })) {
    client fresh{};
    fresh.address = key.client;
    fresh.service = key.service;
    set_prediction(&fresh, &known);
    if (add(fresh, client_age(known.time), known.time)) return true;
    if (!entry(key)) return false;
  }
  return true;
}

bool ClientTable::add(const client& entry, std::uint16_t age, std::uint32_t now) const {
  const Site site = site_of(key_of(entry));
  const client_words words{.client = entry};
  const table_terms terms{.age = age,
                          .now = client_age(now),
                          .holds = TABLE_FOR_EVER,
                          .rank = client_rank(&entry),
                          .by = TABLE_DAEMON};
  for (int attempt = 0; attempt < TABLE_ATTEMPTS; ++attempt) {
    if (table_find(site.first, site.second, &site.key) < TABLE_NOWHERE) return false;
    const std::uint32_t result =
        table_insert(site.first, site.second, &site.key, &words.entry, &terms);
    if (result != TABLE_BUSY) return result == TABLE_DONE;
  }
  return false;
}

void ClientTable::erase(const client_key& key) const {
  const Site site = site_of(key);
  const std::uint32_t at = table_find(site.first, site.second, &site.key);
  if (at < TABLE_NOWHERE)
    table_erase(table_set_at(site.first, site.second, at), table_way(at), &site.key);
}

void ClientTable::count_connection(const client_key& key, std::uint32_t now) const {
  const auto add_one = [](client& entry) {
    if (entry.connections < MAX_CONNECTIONS) ++entry.connections;
  };
  if (change(key, add_one)) return;
  client fresh{};
  fresh.address = key.client;
  fresh.service = key.service;
  fresh.group = NO_GROUP;
  fresh.connections = 1;
  add(fresh, client_age(now), now);
}

void ClientTable::release_connection(const client_key& key) const {
  change(key, [](client& entry) {
    if (entry.connections > 0) --entry.connections;
  });
}

std::uint64_t ClientTable::size() const {
  std::uint64_t taught = 0;
  for (std::uint32_t number = 0; number < count_; ++number) {
    for (const __u64& claim : sets_.data()[number].claim)
      taught += (TABLE_LOAD(&claim) & TABLE_RANK) != 0 ? 1 : 0;
  }
  return taught;
}

void ClientTable::mend() const {
  for (std::uint32_t number = 0; number < count_; ++number) table_mend(sets_.data() + number);
}

std::optional<std::pair<client, std::uint16_t>> ClientTable::read(const table_set& set,
                                                                  std::uint32_t way) {
  for (int attempt = 0; attempt < TABLE_PATIENCE; ++attempt) {
    const std::uint64_t before = TABLE_LOAD(&set.claim[way]);
    if (!(before & TABLE_USED) || before & TABLE_FILLING) return std::nullopt;
    client_words words{};
    load_client(&set, way, &words);
    const std::uint64_t after = TABLE_LOAD(&set.claim[way]);
    if (((before ^ after) & ~TABLE_AGE) == 0 && !(before & TABLE_WRITING)) {
      return {{words.client, table_age(before)}};
    }
  }
  return std::nullopt;
}

namespace {

// Predictions on their way into a new table.
class Arrivals {
 public:
  Arrivals(const ClientTable& to, CopyCounts& counts)
      : to_(to),
        now_(static_cast<std::uint32_t>(
            LessonClock(monotonic_ns(), unix_ms(), 0, 0).at(monotonic_ns()))),
        counts_(counts) {}

  std::uint32_t now() const { return now_; }

  void add(const client_key& client, const prediction& known) {
    lessons_.push_back({client, 0, known, lesson_outcome{}});
    if (lessons_.size() == kCopiedAtOnce) flush();
  }

  void flush() {
    to_.merge(lessons_, now_);
    for (const ClientLesson& each : lessons_)
      ++(each.outcome == LESSON_NO_ROOM ? counts_.lost : counts_.copied);
    lessons_.clear();
  }

 private:
  const ClientTable& to_;
  const std::uint32_t now_;
  CopyCounts& counts_;
  std::vector<ClientLesson> lessons_;
};

void copy_from_hash(int from, const bpf_map_info& info, MapConverter& converter, Arrivals& arrivals,
                    CopyCounts& counts) {
  RawBatchReader reader(from, info.key_size, info.value_size, kCopiedAtOnce);
  for (auto batch = reader.next(); batch.count > 0; batch = reader.next()) {
    for (std::size_t i = 0; i < batch.count; ++i) {
      const auto entry = converter.convert({batch.keys + i * info.key_size, info.key_size},
                                           {batch.values + i * info.value_size, info.value_size});
      client_key client{};
      prediction known{};
      if (!entry || entry->key.size() != sizeof(client) || entry->value.size() != sizeof(known)) {
        ++counts.lost;
        continue;
      }
      std::memcpy(&client, entry->key.data(), sizeof(client));
      std::memcpy(&known, entry->value.data(), sizeof(known));
      arrivals.add(client, known);
    }
  }
}

}  // namespace

CopyCounts copy_clients(int from, MapConverter& converter, const ClientTable& to, Into into) {
  CopyCounts counts;
  const bpf_map_info info = map_info(from);
  Arrivals arrivals(to, counts);
  if (info.type != BPF_MAP_TYPE_ARRAY) {
    copy_from_hash(from, info, converter, arrivals, counts);
    arrivals.flush();
    return counts;
  }
  // The key of the hash is not needed to read all.
  ClientTable(from, -1).for_each([&](const client& entry, std::uint16_t age) {
    if (into == Into::kNew) {
      client copy = entry;
      copy.connections = 0;
      if (to.add(copy, age, arrivals.now())) {
        ++counts.copied;
        return;
      }
    }
    if (was_taught(&entry)) arrivals.add(key_of(entry), client_prediction(&entry));
  });
  arrivals.flush();
  return counts;
}

}  // namespace remora
