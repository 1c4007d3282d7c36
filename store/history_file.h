// SPDX-License-Identifier: Apache-2.0
// The history's database file: opened and checked, written a batch a
// transaction, and rid of what is too old. One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "store/database.h"
#include "store/observation.h"

namespace remora {

class HistoryFile {
 public:
  // Opens, checks for at most `check_limit` and migrates; creates a missing
  // file. `services`: see migrate(). Throws DatabaseError, which tells whether the
  // file is damaged, and ForeignFile.
  HistoryFile(const std::filesystem::path& path, std::chrono::milliseconds check_limit,
              std::span<const ServiceName> services);

  // All or nothing each.
  void write(std::span<const Observation> observations);
  void write(std::span<const LastSeen> last_seen);
  // The names that people give to services now.
  void write(std::span<const ServiceName> services);

  // Deletes at most `rows` events and `rows` clients from before `before_ms`.
  // Returns how many it were.
  std::size_t expire(std::int64_t before_ms, std::size_t rows);

  std::uint64_t clients() const { return clients_; }
  // The latest lesson that was ever written.
  std::uint64_t newest_lesson() const { return newest_lesson_; }
  // Nothing more is written to a damaged file, not even when it is closed.
  void leave_as_it_is() { connection_.keep_log_on_close(); }
  bool was_moved() const { return connection_.was_moved(); }

  // All clients, the last seen first, from a connection of its own.
  static void read(const std::filesystem::path& path,
                   const std::function<void(std::span<const KnownClient>)>& use, std::size_t batch);

 private:
  // A client's before an observation.
  struct State {
    std::string topic;
    std::string group;
    std::uint64_t lesson_time;  // of an event: its time, Unix milliseconds
  };

  bool write(const Observation& seen);
  void write_late(const Observation& seen);
  void write_unjudged(const Observation& seen, const std::optional<State>& before);
  void write_change(const Observation& seen, const State& before);
  void write_event(const Observation& seen, const std::optional<std::string>& old_topic,
                   const std::optional<std::string>& from_group);
  static std::optional<State> find(Statement& query);

  Connection connection_;
  std::uint64_t clients_ = 0;
  std::uint64_t newest_lesson_ = 0;
  Statement find_;
  Statement insert_client_;
  Statement update_client_;
  Statement widen_client_;
  Statement insert_event_;
  Statement find_event_;
  Statement touch_;
  Statement set_newest_lesson_;
  Statement name_service_;
};

// Renames a damaged database, its -wal and its -shm to `….damaged-<UTC time>`
// and returns the new name. Nothing may have it open.
// Throws std::filesystem::filesystem_error.
std::filesystem::path set_aside(const std::filesystem::path& path);

}  // namespace remora
