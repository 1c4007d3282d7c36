// SPDX-License-Identifier: Apache-2.0
//
// A table of bpf/table.h in this process, with functions for tests.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "bpf/table.h"

namespace remora {

inline table_seed random_seed(std::mt19937_64& random) {
  table_seed seed{};
  for (auto& word : seed.word) word = random();
  return seed;
}

// A table over memory that somebody else owns, for instance that of a map.
class TableView {
 public:
  TableView(table_set* sets, std::uint32_t count, const table_seed& seed)
      : sets_(sets), count_(count), seed_(seed) {}

  // The two sets of the key; also fills in the key's tag.
  std::pair<table_set*, table_set*> sets_of(table_key& key) const {
    const std::uint64_t hash = table_hash(&seed_, &key);
    key.tag = table_tag(hash);
    return {sets_ + table_first(hash, count_), sets_ + table_second(hash, count_)};
  }

  std::uint32_t sets() const { return count_; }
  table_set& set(std::uint32_t number) const { return sets_[number]; }

  // Calls `take(entry, claim)` for each entry, read consistently. Leaves out entries that somebody
  // is filling.
  template <class Take>
  void for_each(const Take& take) const {
    for (std::uint32_t number = 0; number < count_; ++number) {
      for (std::uint32_t way = 0; way < TABLE_WAYS; ++way) {
        if (const auto found = read(sets_[number], way)) take(found->first, found->second);
      }
    }
  }

 private:
  static std::optional<std::pair<table_entry, std::uint64_t>> read(const table_set& set,
                                                                   std::uint32_t way) {
    while (true) {
      const std::uint64_t before = TABLE_LOAD(&set.claim[way]);
      if (!(before & TABLE_USED)) return std::nullopt;
      table_entry entry;
      for (std::uint32_t i = 0; i < TABLE_WORDS; ++i)
        entry.word[i] = TABLE_LOAD(&set.entry[way].word[i]);
      const std::uint64_t after = TABLE_LOAD(&set.claim[way]);
      if (!((before ^ after) & ~TABLE_AGE) && !(before & TABLE_WRITING)) return {{entry, before}};
    }
  }

  table_set* sets_;
  std::uint32_t count_;
  table_seed seed_;
};

// A table with memory of its own.
class OwnTable {
 public:
  OwnTable(std::uint32_t sets, std::mt19937_64& random)
      : memory_(sets), view_(memory_.data(), sets, random_seed(random)) {}

  const TableView& view() const { return view_; }

 private:
  std::vector<table_set> memory_;
  TableView view_;
};

}  // namespace remora
