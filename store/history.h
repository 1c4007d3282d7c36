// SPDX-License-Identifier: Apache-2.0
// The knowledge about every client, kept in SQLite: its topic and group, and each change and
// mispredict that led there.
//
// A thread of its own writes everything, because fsync blocks; callers only queue. If the disk
// fails, the history goes on from memory as far as the queue has room, and tries again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "store/backlog.h"
#include "store/clocks.h"
#include "store/file_stamp.h"
#include "store/observation.h"

namespace remora {

class DatabaseError;
class HistoryFile;

struct HistoryOptions {
  std::filesystem::path path;
  std::vector<ServiceName> services{};
  int retention_days = 90;
  // Limit of the database without its log. Above it, the oldest events are deleted.
  std::uint64_t max_bytes = std::uint64_t{2048} << 20;
  // Limit of the log, which grows while somebody reads.
  std::uint64_t max_log_bytes = std::uint64_t{256} << 20;
  // Rows for one client; further events are counted in one row.
  std::uint32_t events_per_minute = 10;
  // Observations that may wait as rows of their own, and the same number again of merged ones: the
  // newest of each client.
  std::size_t queue_limit = 65536;
  // Last-seen times that may wait.
  std::size_t last_seen_limit = 1'000'000;
  std::chrono::milliseconds commit_every{100};
  std::chrono::milliseconds look_every{2000};  // for looks at clock and file when idle
  // Wait after a failure; doubled for each further one, up to kLongestRetry.
  std::chrono::milliseconds retry_after{1000};
  // Time limit for the check of the file at the start. A file too large to be checked in this time
  // is used as it is, because damage is also noticed later.
  std::chrono::milliseconds check_limit{2000};
  HistoryClocks clocks = system_clocks();
  // Distinguishes the ring of the reports from others of this boot.
  std::string ring{};
};

struct HistoryStatus {
  bool ok;
  std::string error;          // empty when ok
  std::uint64_t clients;      // rows of `clients`
  std::uint64_t written;      // observations committed
  std::uint64_t merged;       // observations replaced by a newer one of the same client
  std::uint64_t lost;         // observations that found no room
  std::uint64_t queue_depth;  // observations that are not committed yet
  std::filesystem::path path;
  std::optional<std::filesystem::path> set_aside;  // the last damaged file
  std::uint64_t last_seen_lost;                    // last-seen times that found no room
  std::uint64_t bytes;                             // bytes of the file that are in use
  std::uint64_t max_bytes;
  std::int64_t bytes_per_day;     // recent growth
  std::uint64_t trimmed_events;   // deleted because of max_bytes
  std::uint64_t trimmed_clients;  // the same, if there were no events left
  std::uint64_t openings;         // files opened so far, each of which has clients to read
};

class History {
 public:
  static constexpr std::chrono::milliseconds kLongestRetry{60'000};

  // Opens, checks and migrates the file; creates a missing file, and sets a damaged one aside. If
  // anything is wrong with the file, its path or its disk, the history works from memory and tries
  // again: see status().
  explicit History(HistoryOptions options);

  // Writes the queue if the disk works, and ends the thread.
  ~History();

  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Any thread; never waits for the disk.
  void record(Observation observation);
  void touch(std::vector<LastSeen> clients);
  void remember(Home home);
  void record(Operation operation);
  // Sets the present names of the services.
  void name_services(std::vector<ServiceName> services);

  // Passes all clients on in batches, on the caller's thread and from a connection of its own:
  // those committed by now, with the `first` last seen clients before the others and the very last
  // ones in order. Returns false if the file could not be read to its end, which is logged. Throws
  // only what `use` throws.
  bool for_each_client(const std::function<void(std::span<const KnownClient>)>& use,
                       std::size_t batch = 4096,
                       std::uint64_t first = std::numeric_limits<std::uint64_t>::max());

  // The homes of a service's clients, the last seen first; none if the file cannot be read, which
  // is logged. On the caller's thread.
  std::vector<Home> homes(const std::string& service, std::size_t most) const;

  HistoryStatus status() const;
  // The time of the latest lesson in the file; 0 while it cannot be read.
  std::uint64_t newest_lesson() const;

  // The position of the ring up to which all observations are in the file, if all up to `recorded`
  // were recorded here.
  std::uint64_t committed_to(std::uint64_t recorded) const;

  // Waits until everything recorded so far is committed. Returns false if that failed; the queue
  // then keeps it.
  bool flush();

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  Clock::time_point due() const;
  void write_all(std::unique_lock<std::mutex>& lock);
  bool write_some(std::unique_lock<std::mutex>& lock);
  void write(Batch& batch);
  void look_at_file();
  void put_log_aside();
  void write_names();
  void expire();
  void trim(std::size_t written);
  void look_at_clock();
  std::int64_t uptime_of(std::int64_t at_ms);

  void open_file();
  void set_aside_file(const std::string& why);
  void succeeded();
  void failed(const std::string& error);

  const HistoryOptions options_;

  mutable std::mutex mutex_;           // guards the next thirteen
  std::condition_variable wake_;       // wakes the writer
  std::condition_variable attempted_;  // the writer has tried to write everything
  Backlog backlog_;
  HistoryStatus status_;
  std::uint64_t flushes_asked_ = 0;
  std::uint64_t flushes_done_ = 0;
  bool stopping_ = false;
  std::string damage_;  // found by a reader, handled by the writer; empty: none
  std::vector<ServiceName> services_;
  bool has_new_names_ = false;  // services_ is newer than the file
  std::uint64_t newest_lesson_ = 0;
  std::uint64_t committed_to_ = 0;
  std::int64_t booted_at_ms_ = 0;  // by the present wall clock

  // Used by the writer alone, once it runs.
  std::unique_ptr<HistoryFile> file_;  // null while it cannot be opened
  Clock::time_point commit_at_;
  Clock::time_point expire_at_;
  Clock::time_point look_at_;
  bool is_trimming_known_ = false;
  std::optional<FileStamp> overwritten_;  // the stamp of an overwritten file when found
  Clock::time_point may_set_aside_at_;
  std::chrono::milliseconds retry_after_;
  std::thread worker_;
};

}  // namespace remora
