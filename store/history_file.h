// SPDX-License-Identifier: Apache-2.0
// The history's database file: each batch is one transaction, and the file is kept within its
// limits. Used by one thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/clocks.h"
#include "store/database.h"
#include "store/event_writer.h"
#include "store/file_stamp.h"
#include "store/observation.h"
#include "store/retention.h"

namespace remora {

struct FileOptions {
  std::filesystem::path path;
  std::chrono::milliseconds check_limit{2000};  // time limit for the check of the file's structure
  std::span<const ServiceName> services;        // see migrate()
  std::string ring{};                           // ring of the reports; see HistoryOptions
  std::uint32_t events_per_minute = 10;         // rows for one client
};

class HistoryFile {
 public:
  // Opens, checks and migrates the file; creates a missing one. `clocks` must outlive it. Throws
  // DatabaseError, which tells whether the file is damaged, and ForeignFile.
  HistoryFile(const FileOptions& options, const HistoryClocks& clocks);

  // Each writes all or nothing. Leaves out observations from the ring that the file has already.
  void write(std::span<const Observation> observations);
  void write(std::span<const LastSeen> last_seen);
  void write(std::span<const Home> homes);
  // Keeps the last kMostOperations of all.
  static constexpr std::int64_t kMostOperations = 100'000;
  void write(std::span<const Operation> operations);
  // Writes the present names of the services.
  void write(std::span<const ServiceName> services);

  // Deletes at most `rows` events and `rows` clients that are older than `days`.
  Deleted expire(int days, std::size_t rows);
  // If the file holds more than `most_bytes`, deletes the oldest rows, `rows` per call, until it
  // holds a tenth less.
  Deleted trim(std::uint64_t most_bytes, std::size_t rows);

  std::uint64_t clients() const { return clients_; }
  // Time of the latest lesson that was ever written.
  std::uint64_t newest_lesson() const { return newest_lesson_; }
  // The position of the ring up to which the file has all observations.
  std::uint64_t ring_position() const { return ring_position_; }
  std::uint64_t bytes() { return retention_.bytes_in_use(); }
  std::int64_t bytes_per_day() { return retention_.bytes_per_day(age_.now_ms()); }
  // How far the wall clock was set lately; 0 if it was not.
  std::int64_t clock_jump_ms();

  // Size of the -wal after the last transaction.
  std::uint64_t log_bytes() { return retention_.bytes_of(connection_.log_pages()); }
  // Returns false if a reader needs it.
  bool empty_log();

  // Call this for a damaged file: nothing more is written to it, not even when it is closed.
  void leave_as_it_is() { connection_.keep_log_on_close(); }
  bool was_moved() const { return connection_.was_moved(); }
  // Call this if the file has another name, or none: moves its -wal into it.
  void finish_elsewhere() { connection_.empty_log(); }
  // Whether somebody has written the file without SQLite, as cp does with a backup. Its -wal does
  // not belong to it any more.
  bool was_overwritten();

  // Reads all present clients from a connection of its own: first the last seen, kInOrder of them
  // in order; then, in any order, the others of the `first` last seen; then the rest. Reading all
  // of them in order would take many times as long.
  static constexpr std::uint64_t kInOrder = 1 << 16;
  static void read(const std::filesystem::path& path,
                   const std::function<void(std::span<const KnownClient>)>& use, std::size_t batch,
                   std::uint64_t first);

  // The homes of a service, the last seen first.
  static std::vector<Home> read_homes(const std::filesystem::path& path, const std::string& service,
                                      std::size_t most);

 private:
  // A client's state before an observation.
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
  // The stamp after SQLite last wrote the file, which only a checkpoint does.
  std::optional<FileStamp> stamp_;
  std::int64_t data_version_;
  const HistoryClocks& clocks_;
  AgeClock age_;
  Retention retention_;
  EventWriter events_;
  std::uint64_t clients_;
  std::uint64_t newest_lesson_;
  const std::string ring_;  // ring of the reports, and its boot
  std::uint64_t ring_position_ = 0;
  bool is_trimming_ = false;
  Statement find_;
  Statement insert_client_;
  Statement update_client_;
  Statement widen_client_;
  Statement touch_;
  Statement set_home_;
  Statement insert_operation_;
  Statement set_state_;
  Statement name_service_;
};

// Renames a damaged database, its -wal and its -shm to `….damaged-<UTC time>` and returns the new
// name. The database must not be open. Throws std::filesystem::filesystem_error.
std::filesystem::path set_aside(const std::filesystem::path& path);

// Renames the -wal of a database that was overwritten to `….replaced-<UTC time>-wal`, and returns
// the new name. The database must not be open. Throws std::filesystem::filesystem_error.
std::filesystem::path set_log_aside(const std::filesystem::path& path);

}  // namespace remora
