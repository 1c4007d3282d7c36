// SPDX-License-Identifier: Apache-2.0
//
// The contents that a table of clients must have after streams of operations, in any order.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <vector>

#include "tests/table/operations.h"
#include "tests/table/table.h"

namespace remora {

inline table_key key_taught(std::uint32_t client) {
  const address address = address_taught(client);
  return client_table_key(&address, 0);
}

// Runs the stream's operations from here, as the daemon does it.
inline void run_as_daemon(runner& stream, const TableView& table) {
  while (stream.next < stream.end) {
    const operation next = operation_of(&stream, stream.next);
    table_key key = key_taught(next.client);
    const auto [first, second] = table.sets_of(key);
    if (run_operation(&stream, first, second, &key, &next, TABLE_DAEMON)) {
      ++stream.next;
    } else {
      ++stream.again;
    }
  }
}

// Every entry is whole, and no client has two.
inline void expect_whole(const TableView& table) {
  std::set<std::uint32_t> seen;
  table.for_each([&](const table_entry& entry, std::uint64_t claim) {
    const client_words words{.entry = entry};
    EXPECT_TRUE(is_whole(&words.client)) << "client " << words.client.address.word[3];
    EXPECT_TRUE(seen.insert(words.client.address.word[3]).second) << "a client has two entries";
    EXPECT_FALSE(claim & (TABLE_FILLING | TABLE_WRITING));
    EXPECT_EQ((claim & TABLE_RANK) != 0, words.client.group != NO_GROUP);
  });
}

// If no entry was pushed out, each client has the last of its lessons, and as many connections as
// were begun and not ended.
inline void expect_all_done(const TableView& table, const std::vector<runner>& streams) {
  struct Known {
    std::uint32_t time = 0;
    std::int64_t connections = 0;
  };
  std::vector<Known> wanted(streams.front().clients);
  std::uint64_t left_open = 0;
  for (const runner& stream : streams) {
    EXPECT_EQ(stream.refused, 0u);
    for (std::uint64_t number = 0; number < stream.end; ++number) {
      const operation each = operation_of(&stream, number);
      Known& known = wanted[each.client];
      if (each.kind == OPERATION_TEACH) known.time = std::max(known.time, each.time);
      if (each.kind == OPERATION_CONNECT) ++known.connections;
      if (each.kind == OPERATION_DISCONNECT) --known.connections;
    }
  }
  for (std::uint32_t number = 0; number < wanted.size(); ++number) {
    table_key key = key_taught(number);
    const auto [first, second] = table.sets_of(key);
    const std::uint32_t at = table_find(first, second, &key);
    client_words words{};
    ASSERT_NE(at, TABLE_NOWHERE) << "client " << number;
    ASSERT_EQ(table_read(table_set_at(first, second, at), table_way(at), &key, &words.entry),
              TABLE_DONE);
    EXPECT_EQ(words.client.time, wanted[number].time) << "client " << number;
    EXPECT_EQ(words.client.connections, wanted[number].connections) << "client " << number;
    left_open += words.client.connections;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(left_open, 0u);
}

}  // namespace remora
