// SPDX-License-Identifier: Apache-2.0
// Decides which events get rows of their own: few for each client and minute.
//
// A client that alternates between topics, or cycles through many, would write a row for each
// PUBLISH. So an event that a client has had within the hour is counted in the row that it has.
// Of new events only some get rows in a minute; the others share one row.
//
// Pure: no clock, lock or disk. After a restart it knows nothing, which costs some rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace remora {

class EventRows {
 public:
  static constexpr std::int64_t kRowLastsS = 3600;
  static constexpr std::int64_t kMinuteS = 60;
  // Rows of one client, and clients, that are remembered.
  static constexpr std::size_t kRows = 64;
  static constexpr std::size_t kClients = 4096;
  // A row with topics of so many bytes counts as two.
  static constexpr std::size_t kLargeRow = 4096;

  // `per_minute`: rows of one client.
  explicit EventRows(std::uint32_t per_minute) : per_minute_(per_minute) {}

  // A client at a service.
  struct Client {
    std::string service;
    std::string address;
    bool operator==(const Client&) const = default;
  };

  // The row in which this event is counted, if there is one. `event` tells one event from
  // another; times are seconds that only go on.
  std::optional<std::int64_t> find(const Client& client, std::uint64_t event, std::int64_t now_s);

  // Takes a row with topics of `bytes` from the client's share of this minute. False: it is
  // used up.
  bool take_share(const Client& client, std::size_t bytes, std::int64_t now_s);

  // An event got a row, in which equal ones are counted for `lasts_s`.
  void add(const Client& client, std::uint64_t event, std::int64_t row, std::int64_t now_s,
           std::int64_t lasts_s);

  // Forgets all rows: they may not have been committed.
  void clear();

 private:
  struct Row {
    std::uint64_t event;
    std::int64_t id;
    std::int64_t until_s;  // counts no more from then on
  };
  struct Rows {
    std::vector<Row> rows;  // the oldest first
    std::int64_t minute_began_s = 0;
    std::size_t spent = 0;  // of this minute's share, in units of 1/kLargeRow row
    std::list<Client>::iterator age;
  };
  struct Hash {
    std::size_t operator()(const Client& client) const noexcept;
  };

  Rows& rows_of(const Client& client);

  const std::uint32_t per_minute_;
  std::unordered_map<Client, Rows, Hash> clients_;
  std::list<Client> ages_;  // the client used longest ago first
};

}  // namespace remora
