// SPDX-License-Identifier: Apache-2.0
// Deletes what is too old, or too much.
//
// Ages are those of the history's own clock (clocks.h). The table `hours` tells which events
// there were at the beginning of each hour.
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

  // Part of the caller's transaction: begins the hour of `age_ms`, if that has not begun.
  void note_hour(std::int64_t age_ms, std::int64_t unix_ms);
  // The transaction was rolled back.
  void roll_back();

  // Deletes events that are older than `days`, and clients that were not seen for so long: at
  // most `rows` of each.
  Deleted expire(std::int64_t age_ms, int days, std::size_t rows);

  // Deletes the oldest events, at most `rows`; if there are none left, the clients not seen for
  // longest.
  Deleted trim(std::size_t rows);

  // Bytes of the file that hold something. What is deleted leaves room for new rows.
  std::uint64_t bytes_in_use();
  std::uint64_t bytes_of(int pages) const {
    return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes_);
  }
  // Recent growth of it.
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
