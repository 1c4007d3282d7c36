// SPDX-License-Identifier: Apache-2.0
//
// The table of clients (bpf/clients.h), as the daemon sees it: the packet path's own memory.
// Any thread may change it while packets are handled.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "bpf/clients.h"
#include "daemon/kernel/abi/chain.h"
#include "daemon/kernel/map_copy.h"
#include "daemon/kernel/mapped.h"

namespace remora {

// A lesson for the table, and its outcome.
struct ClientLesson {
  client_key client;
  std::uint32_t kind;  // of lesson_kind
  prediction lesson;   // afterwards: the client's prediction
  lesson_outcome outcome;
};

class ClientTable {
 public:
  // File descriptors of the table and of `topic_keys`, which has the secret of its hash and
  // must outlive it. Throws std::system_error.
  ClientTable(int table_fd, int topic_keys_fd);

  // Merges all by the rule of bpf/lesson.h, and writes the outcome of each. `now`: time of the
  // lesson clock. Throws std::system_error.
  void merge(std::span<ClientLesson> lessons, std::uint32_t now) const;

  // The client's prediction, or nothing if it never taught.
  std::optional<prediction> find(const client_key& key) const;

  // The whole entry, also of a client that never taught.
  std::optional<client> entry(const client_key& key) const;

  // Overwrites the client's prediction, or adds the client. Returns false if there is no room.
  bool put(const client_key& key, const prediction& known) const;

  // Adds an entry as it is. Returns false if there is no room, or already an entry.
  bool add(const client& entry, std::uint16_t age, std::uint32_t now) const;

  // Removes the entry.
  void erase(const client_key& key) const;

  // Counts one established connection more, or one less.
  void count_connection(const client_key& key, std::uint32_t now) const;
  void release_connection(const client_key& key) const;

  // Clients that have taught.
  std::uint64_t size() const;

  // Calls `take(entry, age)` for each entry. Each entry is consistent in itself.
  template <class Take>
  void for_each(const Take& take) const {
    for (std::uint32_t number = 0; number < count_; ++number) {
      for (std::uint32_t way = 0; way < TABLE_WAYS; ++way) {
        if (const auto found = read(sets_.data()[number], way)) take(found->first, found->second);
      }
    }
  }

  // Finishes what a killed daemon had begun.
  void mend() const;

 private:
  struct Site {
    table_key key;
    table_set *first, *second;
  };
  Site site_of(const topic_keys& keys, const client_key& client) const;
  Site site_of(const client_key& client) const;
  static std::optional<std::pair<client, std::uint16_t>> read(const table_set& set,
                                                              std::uint32_t way);
  template <class Change>
  bool change(const client_key& key, const Change& change) const;

  std::uint32_t count_;
  Mapped<table_set> sets_;
  int topic_keys_fd_;
};

// Copies entries into a new table: from another one, or from the hash of predictions of a former
// layout. Connections are not counted. With `Into::kInUse`, entries that it has already stay.
CopyCounts copy_clients(int from, MapConverter& converter, const ClientTable& to, Into into);

}  // namespace remora
