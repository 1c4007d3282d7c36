// SPDX-License-Identifier: Apache-2.0
// Deletes rows that are too old, or too many.
//
// Ages are measured by the history's own clock (clocks.h). The table `hours` records the first
// event of each hour.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/database.h"

namespace remora {

struct Deleted {
  std::uint64_t events = 0;
  std::uint64_t clients = 0;
};

class Retention {
 public:
  // `connection` must outlive it.
  explicit Retention(Connection& connection);

  // Begins the hour of `age_ms`, if it has not begun. Part of the caller's transaction.
  void note_hour(std::int64_t age_ms, std::int64_t unix_ms);
  // Call this when the transaction was rolled back.
  void roll_back();

  // Deletes events older than `days`, and clients not seen for so long: at most `rows` of each.
  Deleted expire(std::int64_t age_ms, int days, std::size_t rows);

  // Deletes the oldest events, at most `rows`; if there are none left, the clients not seen for
  // longest.
  Deleted trim(std::size_t rows);

  // Bytes of the file that are in use. Deleted rows leave room for new ones.
  std::uint64_t bytes_in_use();
  std::uint64_t bytes_of(int pages) const {
    return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes_);
  }
  // Recent growth of the bytes in use.
  std::int64_t bytes_per_day(std::int64_t age_ms);

 private:
  Deleted delete_up_to(std::int64_t event, std::int64_t seen_age_ms, std::size_t rows);

  Connection* connection_;
  Statement pages_;
  Statement free_pages_;
  std::int64_t page_bytes_;
  std::int64_t last_hour_;
};

}  // namespace remora
