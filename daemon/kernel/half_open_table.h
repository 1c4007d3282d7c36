// SPDX-License-Identifier: Apache-2.0
//
// The table of half-open connections (bpf/half_open.h) from the daemon's side. It is the packet
// path's own memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "bpf/half_open.h"
#include "daemon/kernel/abi/chain.h"
#include "daemon/kernel/map_copy.h"
#include "daemon/kernel/mapped.h"

namespace remora {

class HalfOpenTable {
 public:
  // Descriptors of the table and of `topic_keys`, which has the secret of the table's hash and must
  // outlive it. Throws std::system_error.
  HalfOpenTable(int table_fd, int topic_keys_fd);

  std::optional<flow> find(const half_open_key& key) const;

  // Adds a connection, as one of a client with a prediction, or overwrites it. Returns false if
  // there is no room.
  bool put(const half_open_key& key, const flow& entry) const;

  // Returns false if it was not there.
  bool erase(const half_open_key& key) const;

  std::uint32_t sets() const { return count_; }

  // Calls `take(key, flow)` for the connections in `count` sets from `first` on. Returns the number
  // of the set after them.
  template <class Take>
  std::uint32_t visit(std::uint32_t first, std::uint32_t count, const Take& take) const {
    const std::uint32_t end = count < count_ - first ? first + count : count_;
    for (std::uint32_t number = first; number < end; ++number) {
      for (std::uint32_t way = 0; way < TABLE_WAYS; ++way) {
        if (const auto found = read(number, way)) take(found->first, found->second);
      }
    }
    return end;
  }
  template <class Take>
  void for_each(const Take& take) const {
    visit(0, count_, take);
  }

  std::uint64_t size() const;

  // Completes changes that a killed predecessor had begun.
  void mend() const;

 private:
  // The set of the key; also fills in the key's tag.
  half_open_set& set_of(table_key& key) const;
  std::optional<std::pair<half_open_key, flow>> read(std::uint32_t set, std::uint32_t way) const;

  std::uint32_t count_;
  Mapped<half_open_set> sets_;
  int topic_keys_fd_;
};

// Copies connections into a new table: from another one, or from the hash of an earlier layout.
// With `Into::kInUse` existing connections stay as they are.
CopyCounts copy_half_open(int from, MapConverter& converter, const HalfOpenTable& to,
                          int topic_keys_fd, Into into);

}  // namespace remora
