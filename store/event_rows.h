// SPDX-License-Identifier: Apache-2.0
// Decides which events get rows of their own: few for each client and minute.
//
// A client that alternates between topics, or cycles through many, would cause a row for each
// PUBLISH. So an event that a client had within the last hour is counted in the existing row. Only
// a few new events per minute get rows; the others share one row.
//
// Pure: no clock, lock or disk. A restart loses its contents, which costs some rows.
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
  // Numbers of rows per client, and of clients, that are remembered.
  static constexpr std::size_t kRows = 64;
  static constexpr std::size_t kClients = 4096;
  // Bytes of topics from which on a row counts as two.
  static constexpr std::size_t kLargeRow = 4096;

  // `per_minute` is the number of rows for one client.
  explicit EventRows(std::uint32_t per_minute) : per_minute_(per_minute) {}

  // A client at a service.
  struct Client {
    std::string service;
    std::string address;
    bool operator==(const Client&) const = default;
  };

  // The row in which this event is counted, if there is one. `event` identifies equal events; times
  // are seconds that never go back.
  std::optional<std::int64_t> find(const Client& client, std::uint64_t event, std::int64_t now_s);

  // Takes a row with topics of `bytes` from the client's share of this minute. Returns false if the
  // share is used up.
  bool take_share(const Client& client, std::size_t bytes, std::int64_t now_s);

  // Adds an event's row, in which equal events are counted for `lasts_s`.
  void add(const Client& client, std::uint64_t event, std::int64_t row, std::int64_t now_s,
           std::int64_t lasts_s);

  // Forgets all rows, because they may not have been committed.
  void clear();

 private:
  struct Row {
    std::uint64_t event;
    std::int64_t id;
    std::int64_t until_s;  // the row counts no events after this time
  };
  struct Rows {
    std::vector<Row> rows;  // the oldest first
    std::int64_t minute_began_s = 0;
    std::size_t spent = 0;  // used of this minute's share, in units of 1/kLargeRow row
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
