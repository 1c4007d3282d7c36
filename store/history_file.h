// SPDX-License-Identifier: Apache-2.0
// The history's database file: one transaction a batch, kept within its limits. One thread at a
// time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "store/clocks.h"
#include "store/database.h"
#include "store/event_writer.h"
#include "store/file_stamp.h"
#include "store/observation.h"
#include "store/retention.h"

namespace remora {

struct FileOptions {
  std::filesystem::path path;
  std::chrono::milliseconds check_limit{2000};  // for the check of the file's structure
  std::span<const ServiceName> services;        // see migrate()
  std::string ring{};                           // of the reports; see HistoryOptions
  std::uint32_t events_per_minute = 10;         // rows of one client
};

class HistoryFile {
 public:
  // Opens, checks and migrates; creates a missing file. `clocks` must outlive it. Throws
  // DatabaseError, which tells whether the file is damaged, and ForeignFile.
  HistoryFile(const FileOptions& options, const HistoryClocks& clocks);

  // All or nothing each. An observation from the ring that the file has already is left out.
  void write(std::span<const Observation> observations);
  void write(std::span<const LastSeen> last_seen);
  // The names that people give to services now.
  void write(std::span<const ServiceName> services);

  // Deletes at most `rows` events and `rows` clients that are older than `days`.
  Deleted expire(int days, std::size_t rows);
  // If the file holds more than `most_bytes`, deletes the oldest rows, `rows` a call, until it
  // holds a tenth less.
  Deleted trim(std::uint64_t most_bytes, std::size_t rows);

  std::uint64_t clients() const { return clients_; }
  // The latest lesson that was ever written.
  std::uint64_t newest_lesson() const { return newest_lesson_; }
  // Up to which position of the ring the file has all observations.
  std::uint64_t ring_position() const { return ring_position_; }
  std::uint64_t bytes() { return retention_.bytes_in_use(); }
  std::int64_t bytes_per_day() { return retention_.bytes_per_day(age_.now_ms()); }
  // By how much the wall clock was set lately; 0 when it was not.
  std::int64_t clock_jump_ms();

  // Of the -wal, as of the last transaction.
  std::uint64_t log_bytes() { return retention_.bytes_of(connection_.log_pages()); }
  // False: a reader needs it.
  bool empty_log();

  // Nothing more is written to a damaged file, not even when it is closed.
  void leave_as_it_is() { connection_.keep_log_on_close(); }
  bool was_moved() const { return connection_.was_moved(); }
  // The file has another name, or none: what is in its -wal is moved into it.
  void finish_elsewhere() { connection_.empty_log(); }
  // Somebody has written the file, not by SQLite: as cp does with a backup. Its -wal does not
  // belong to it any more.
  bool was_overwritten();

  // All clients, from a connection of its own, as they are now: the last seen first, so many of
  // them in order; then, in any order, the others of the `first` last seen; then the rest. Reading
  // all in order would take many times as long.
  static constexpr std::uint64_t kInOrder = 1 << 16;
  static void read(const std::filesystem::path& path,
                   const std::function<void(std::span<const KnownClient>)>& use, std::size_t batch,
                   std::uint64_t first);

 private:
  // A client's before an observation.
  struct State {
    TopicState topic;
    std::uint64_t lesson_time;
  };

  bool write(const Observation& seen);
  void write_late(const Observation& seen);
  void write_unjudged(const Observation& seen, const std::optional<State>& before);
  void write_event(const Observation& seen, const std::optional<std::string>& old_topic,
                   const std::optional<std::string>& from_group);
  void write_change(const Observation& seen, const TopicState& before);
  std::optional<State> find(const Observation& seen);
  void write_state();
  void checkpoint_if_long();

  template <class Work>
  void in_transaction(const Work& work);

  const std::filesystem::path path_;
  Connection connection_;
  // The file after SQLite wrote it last: nothing but a checkpoint does.
  std::optional<FileStamp> stamp_;
  std::int64_t data_version_;
  const HistoryClocks& clocks_;
  AgeClock age_;
  Retention retention_;
  EventWriter events_;
  std::uint64_t clients_;
  std::uint64_t newest_lesson_;
  const std::string ring_;  // and its boot
  std::uint64_t ring_position_ = 0;
  bool is_trimming_ = false;
  Statement find_;
  Statement insert_client_;
  Statement update_client_;
  Statement widen_client_;
  Statement touch_;
  Statement set_state_;
  Statement name_service_;
};

// Renames a damaged database, its -wal and its -shm to `….damaged-<UTC time>`
// and returns the new name. Nothing may have it open.
// Throws std::filesystem::filesystem_error.
std::filesystem::path set_aside(const std::filesystem::path& path);

// Renames the -wal of a database that was overwritten to `….replaced-<UTC time>-wal`, and returns
// the new name. Nothing may have the database open. Throws std::filesystem::filesystem_error.
std::filesystem::path set_log_aside(const std::filesystem::path& path);

}  // namespace remora
