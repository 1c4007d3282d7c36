// SPDX-License-Identifier: Apache-2.0
// What is known of every client, kept in SQLite: its topic and group, and each
// change and mispredict on the way there.
//
// Everything is written by a thread of its own, because fsync blocks; callers
// only queue. When the disk fails the history goes on from memory, as far as
// the queue has room, and tries again.
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
  // Of the database without its log. The oldest events make room.
  std::uint64_t max_bytes = std::uint64_t{2048} << 20;
  // Of its log, which grows while somebody reads.
  std::uint64_t max_log_bytes = std::uint64_t{256} << 20;
  // Rows of one client; further events are counted in one.
  std::uint32_t events_per_minute = 10;
  // Observations that wait as rows of their own, and as many again that are
  // merged: one a client, the newest.
  std::size_t queue_limit = 65536;
  // Last-seen times that wait.
  std::size_t last_seen_limit = 1'000'000;
  std::chrono::milliseconds commit_every{100};
  std::chrono::milliseconds look_every{2000};  // at the clock and the file, with nothing to write
  // After a failure; doubled from one to the next, at most kLongestRetry.
  std::chrono::milliseconds retry_after{1000};
  // For the check of the file at start. A file too large to be checked in this
  // time is used as it is: damage is also noticed when it is met.
  std::chrono::milliseconds check_limit{2000};
  HistoryClocks clocks = system_clocks();
  // Tells the ring of the reports from others of this boot.
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
  std::uint64_t bytes;                             // of the file that are in use
  std::uint64_t max_bytes;
  std::int64_t bytes_per_day;     // recent growth
  std::uint64_t trimmed_events;   // deleted because of max_bytes
  std::uint64_t trimmed_clients;  // likewise, when there were no events left
  std::uint64_t openings;         // files that were opened so far; the clients of each can be read
};

class History {
 public:
  static constexpr std::chrono::milliseconds kLongestRetry{60'000};

  // Opens, checks and migrates the file, creating it when there is none; a
  // damaged one is set aside. If anything is wrong with the file, its path or its
  // disk, the history works from memory and tries again: see status().
  explicit History(HistoryOptions options);

  // Writes what is queued, if the disk lets it, and ends the thread.
  ~History();

  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Any thread; never waits for the disk.
  void record(Observation observation);
  void touch(std::vector<LastSeen> clients);
  // The services are now called so.
  void name_services(std::vector<ServiceName> services);

  // Hands all clients over in batches, on the caller's thread and from a
  // connection of its own: what is committed by now, the `first` last seen
  // clients before the others, the very last ones in order. False: the file
  // could not be read to its end, which is logged. Only what `use` throws is
  // thrown.
  bool for_each_client(const std::function<void(std::span<const KnownClient>)>& use,
                       std::size_t batch = 4096,
                       std::uint64_t first = std::numeric_limits<std::uint64_t>::max());

  HistoryStatus status() const;
  // The time of the latest lesson in the file; 0 while it cannot be read.
  std::uint64_t newest_lesson() const;

  // Up to which position of the ring all observations are in the file, if all up to `recorded`
  // were recorded here.
  std::uint64_t committed_to(std::uint64_t recorded) const;

  // Waits until everything recorded so far is committed. False when that
  // failed; the queue then keeps it.
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
  std::condition_variable wake_;       // of the writer
  std::condition_variable attempted_;  // by the writer, to write all there was
  Backlog backlog_;
  HistoryStatus status_;
  std::uint64_t flushes_asked_ = 0;
  std::uint64_t flushes_done_ = 0;
  bool stopping_ = false;
  std::string damage_;  // met by a reader, for the writer to act on; empty: none
  std::vector<ServiceName> services_;
  bool has_new_names_ = false;  // that the file does not have yet
  std::uint64_t newest_lesson_ = 0;
  std::uint64_t committed_to_ = 0;
  std::int64_t booted_at_ms_ = 0;  // by the wall clock as it is now

  // The writer's alone, once it runs.
  std::unique_ptr<HistoryFile> file_;  // null while it cannot be opened
  Clock::time_point commit_at_;
  Clock::time_point expire_at_;
  Clock::time_point look_at_;
  bool is_trimming_known_ = false;
  std::optional<FileStamp> overwritten_;  // as it was found then
  Clock::time_point may_set_aside_at_;
  std::chrono::milliseconds retry_after_;
  std::thread worker_;
};

}  // namespace remora
