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
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "store/backlog.h"
#include "store/observation.h"

namespace remora {

class DatabaseError;
class HistoryFile;

struct HistoryOptions {
  std::filesystem::path path;
  int retention_days = 90;
  // Observations that wait as rows of their own; as many clients again when
  // these must be merged.
  std::size_t queue_limit = 65536;
  // Clients whose last-seen time waits, about 150 bytes each.
  std::size_t last_seen_limit = 1'000'000;
  std::chrono::milliseconds commit_every{100};
  // After a failure; doubled from one to the next, at most kLongestRetry.
  std::chrono::milliseconds retry_after{1000};
  // For the check of the file at start. A file too large to be checked in this
  // time is used as it is: damage is also noticed when it is met.
  std::chrono::milliseconds check_limit{2000};
};

struct HistoryStatus {
  bool ok;
  std::string error;          // empty when ok
  std::uint64_t clients;      // rows of `clients`
  std::uint64_t written;      // observations committed
  std::uint64_t merged;       // observations replaced by a newer one of the same client
  std::uint64_t lost;         // observations and last-seen times that found no room
  std::uint64_t queue_depth;  // observations that are not committed yet
  std::filesystem::path path;
  std::optional<std::filesystem::path> set_aside;  // the last damaged file
};

class History {
 public:
  static constexpr std::chrono::milliseconds kLongestRetry{60'000};

  // Opens, checks and migrates the file, creating it when there is none; a
  // damaged one is set aside. Throws std::runtime_error, with the remedy, when
  // the file cannot be opened or written, is of a newer version or is not a
  // history at all. A full or failing disk does not throw: see status().
  explicit History(HistoryOptions options);

  // Writes what is queued, if the disk lets it, and ends the thread.
  ~History();

  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Any thread; never waits for the disk.
  void record(Observation observation);
  void touch(std::vector<LastSeen> clients);

  // Hands all clients over in batches, the last seen first, on the caller's
  // thread and from a connection of its own: what is committed by now. A
  // file that cannot be read ends it early, logged; it never throws but what
  // `use` throws.
  void for_each_client(const std::function<void(std::span<const KnownClient>)>& use,
                       std::size_t batch = 4096);

  HistoryStatus status() const;

  // Waits until everything recorded so far is committed. False when that
  // failed; the queue then keeps it.
  bool flush();

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  void write(std::unique_lock<std::mutex>& lock);
  void write_batch(const Batch& batch);
  void expire();
  void succeeded();
  void failed(const DatabaseError& error);
  void set_file_aside(const std::string& why);
  void open_file();

  const HistoryOptions options_;

  mutable std::mutex mutex_;           // guards all down to `worker_`, but not file_
  std::condition_variable wake_;       // of the writer
  std::condition_variable attempted_;  // a commit was tried
  Backlog backlog_;
  HistoryStatus status_;

  std::unique_ptr<HistoryFile> file_;  // the writer's alone; null while it cannot be opened
  std::thread worker_;
};

}  // namespace remora
