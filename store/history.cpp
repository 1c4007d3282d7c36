// SPDX-License-Identifier: Apache-2.0
#include "store/history.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "log/log.h"
#include "store/history_file.h"
#include "store/migration.h"
#include "store/path_problem.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

// Rows in one transaction, which takes some 10 ms.
constexpr std::size_t kTransactionRows = 4096;

constexpr auto kExpireEvery = 1h;
constexpr std::size_t kExpireRows = 1000;  // per transaction

// A disk that damages each new file must not fill up with set-aside files.
constexpr auto kSetAsideEvery = 60s;

// The wall clock and the uptime are read one after the other. A difference up to this does not mean
// that the clock was set.
constexpr std::int64_t kReadApartMs = 1000;

// If the file is too large, one step deletes this many rows. There are several steps for each
// thousand rows written, so that the file shrinks whatever is written.
constexpr std::size_t kTrimRows = 1000;
constexpr std::size_t kTrimSteps = 4;

// The reason of a failure; if the path causes it, in plain words.
std::string reason(const std::filesystem::path& path, const std::exception& error) {
  const std::string problem = path_problem(path);
  return problem.empty() ? error.what() : problem;
}

std::string in_words(std::int64_t jump_ms) {
  const std::int64_t s = (std::abs(jump_ms) + 500) / 1000;
  const std::string amount = s >= 172'800 ? std::to_string(s / 86'400) + " days"
                             : s >= 7200  ? std::to_string(s / 3600) + " hours"
                             : s >= 120   ? std::to_string(s / 60) + " minutes"
                                          : std::to_string(s) + " seconds";
  return amount + (jump_ms > 0 ? " ahead" : " back");
}

// Writes `rows` in transactions, and leaves those in it that were not written.
template <class Row, class Written>
void write_rows(HistoryFile& file, std::vector<Row>& rows, const Written& written) {
  std::size_t done = 0;
  try {
    while (done < rows.size()) {
      const auto part =
          std::span<const Row>(rows).subspan(done, std::min(kTransactionRows, rows.size() - done));
      file.write(part);
      done += part.size();
      written(part.size());
    }
  } catch (...) {
    rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(done));
    throw;
  }
  rows.clear();
}

// Blocks signals, which are for the daemon's loop: a thread inherits its maker's signal mask.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

History::History(HistoryOptions options)
    : options_(std::move(options)),
      backlog_(options_.queue_limit, options_.last_seen_limit),
      status_{},
      services_(options_.services),
      commit_at_(Clock::now()),
      expire_at_(Clock::now()),
      look_at_(Clock::now()),
      may_set_aside_at_(Clock::now()),
      retry_after_(options_.retry_after) {
  status_.ok = true;
  status_.path = options_.path;
  status_.max_bytes = options_.max_bytes;
  try {
    try {
      open_file();
    } catch (const DatabaseError& error) {
      if (!error.means_damage()) throw;
      set_aside_file(error.what());
      open_file();
    }
  } catch (const std::exception& error) {
    failed(reason(options_.path, error));
  }
  const SignalsBlocked blocked;
  worker_ = std::thread([this] { run(); });
}

History::~History() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  worker_.join();
  if (backlog_.depth() > 0) {
    log::error("history: {} observations were never written: {}", backlog_.depth(), status_.error);
  }
}

// mutex_ must be held. A time in the future was taken before the clock was set back.
std::int64_t History::uptime_of(std::int64_t at_ms) {
  const std::int64_t uptime_ms = options_.clocks.uptime_ms();
  const std::int64_t booted_at_ms = options_.clocks.unix_ms() - uptime_ms;
  if (std::abs(booted_at_ms - booted_at_ms_) > kReadApartMs) booted_at_ms_ = booted_at_ms;
  return std::min(at_ms - booted_at_ms_, uptime_ms);
}

void History::record(Observation observation) {
  const std::lock_guard lock(mutex_);
  observation.uptime_ms = uptime_of(observation.at_ms);
  const bool was_empty = backlog_.empty();
  backlog_.add(std::move(observation));
  if (was_empty) wake_.notify_one();
}

void History::touch(std::vector<LastSeen> clients) {
  const std::lock_guard lock(mutex_);
  const bool was_empty = backlog_.empty();
  for (LastSeen& seen : clients) {
    seen.uptime_ms = uptime_of(seen.at_ms);
    backlog_.add(std::move(seen));
  }
  if (was_empty) wake_.notify_one();
}

void History::remember(Home home) {
  const std::lock_guard lock(mutex_);
  home.uptime_ms = uptime_of(home.at_ms);
  const bool was_empty = backlog_.empty();
  backlog_.add(std::move(home));
  if (was_empty) wake_.notify_one();
}

void History::record(Operation operation) {
  const std::lock_guard lock(mutex_);
  operation.uptime_ms = uptime_of(operation.at_ms);
  const bool was_empty = backlog_.empty();
  backlog_.add(std::move(operation));
  if (was_empty) wake_.notify_one();
}

void History::name_services(std::vector<ServiceName> services) {
  const std::lock_guard lock(mutex_);
  if (services == services_) return;
  services_ = std::move(services);
  has_new_names_ = true;
  wake_.notify_one();
}

bool History::for_each_client(const std::function<void(std::span<const KnownClient>)>& use,
                              std::size_t batch, std::uint64_t first) {
  try {
    HistoryFile::read(options_.path, use, batch, first);
    return true;
  } catch (const ForeignFile& error) {
    log::error("history: the clients cannot be read: {}", error.what());
  } catch (const DatabaseError& error) {
    log::error("history: not all clients could be read: {}", reason(options_.path, error));
    if (!error.means_damage()) return false;
    const std::lock_guard lock(mutex_);
    damage_ = error.what();
    wake_.notify_one();
  }
  return false;
}

std::vector<Home> History::homes(const std::string& service, std::size_t most) const {
  try {
    return HistoryFile::read_homes(options_.path, service, most);
  } catch (const std::exception& error) {
    log::error("history: the homes of routed clients cannot be read: {}",
               reason(options_.path, error));
    return {};
  }
}

HistoryStatus History::status() const {
  const std::lock_guard lock(mutex_);
  HistoryStatus status = status_;
  status.merged = backlog_.merged();
  status.lost = backlog_.lost();
  status.last_seen_lost = backlog_.last_seen_lost();
  status.queue_depth = backlog_.depth();
  return status;
}

std::uint64_t History::newest_lesson() const {
  const std::lock_guard lock(mutex_);
  return newest_lesson_;
}

std::uint64_t History::committed_to(std::uint64_t recorded) const {
  const std::lock_guard lock(mutex_);
  return backlog_.depth() == 0 ? recorded : committed_to_;
}

bool History::flush() {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = ++flushes_asked_;
  wake_.notify_one();
  attempted_.wait(lock, [&] { return flushes_done_ >= ticket; });
  return status_.ok;
}

// ---- the writer's thread ------------------------------------------------------

void History::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto next = due();
    if (Clock::now() < next) {
      wake_.wait_until(lock, next);
      continue;
    }
    write_all(lock);
  }
  write_all(lock);
  lock.unlock();
  if (!file_) return;
  try {
    if (!file_->was_moved() && file_->was_overwritten()) put_log_aside();
  } catch (const std::exception& error) {
    log::error("history: '{}': {}", options_.path.string(), error.what());
  }
}

// The time of the next work. mutex_ must be held.
History::Clock::time_point History::due() const {
  if (flushes_asked_ > flushes_done_) return Clock::time_point::min();
  if (!status_.ok || !backlog_.empty() || has_new_names_) return commit_at_;
  if (!damage_.empty()) return Clock::time_point::min();
  return std::min(expire_at_, look_at_);
}

// Tries to write everything that waits. mutex_ must be held; it is released during the writing.
void History::write_all(std::unique_lock<std::mutex>& lock) {
  const std::uint64_t ticket = flushes_asked_;
  commit_at_ = Clock::now() + options_.commit_every;
  if (write_some(lock) && backlog_.is_merging()) write_some(lock);
  flushes_done_ = ticket;
  attempted_.notify_all();
}

// Writes a batch from the backlog, and gives back what could not be written. Returns whether
// everything was written.
bool History::write_some(std::unique_lock<std::mutex>& lock) {
  std::string damage = std::exchange(damage_, {});
  Batch batch = backlog_.take();
  lock.unlock();
  try {
    for (;;) {
      try {
        if (!damage.empty()) set_aside_file(std::exchange(damage, {}));
        write(batch);
        break;
      } catch (const DatabaseError& error) {
        if (!error.means_damage() || Clock::now() < may_set_aside_at_) throw;
        damage = error.what();
      }
    }
    succeeded();
  } catch (const std::exception& error) {
    failed(reason(options_.path, error));
  }
  lock.lock();
  backlog_.give_back(std::move(batch));
  return status_.ok;
}

// Removes from `batch` what it writes.
void History::write(Batch& batch) {
  if (file_) look_at_file();
  if (!file_) open_file();
  if (file_->log_bytes() > options_.max_log_bytes && !file_->empty_log()) {
    throw std::runtime_error("a program that reads it keeps its -wal at " +
                             std::to_string(file_->log_bytes() >> 20) + " MiB: end that program");
  }

  const std::size_t written = batch.observations.size();
  write_rows(*file_, batch.observations, [this](std::size_t rows) {
    const std::lock_guard lock(mutex_);
    backlog_.finish(rows);
    status_.written += rows;
    committed_to_ = file_->ring_position();
  });
  write_rows(*file_, batch.last_seen, [](std::size_t) {});
  write_rows(*file_, batch.homes, [](std::size_t) {});
  write_rows(*file_, batch.operations, [](std::size_t) {});
  write_names();
  look_at_clock();
  if (Clock::now() >= expire_at_) expire();
  trim(written);

  const std::int64_t bytes_per_day = file_->bytes_per_day();
  const std::lock_guard lock(mutex_);
  status_.bytes = file_->bytes();
  status_.bytes_per_day = bytes_per_day;
  newest_lesson_ = file_->newest_lesson();
  status_.clients = file_->clients();
}

// Checks whether a person has moved the file, or copied another one over it.
void History::look_at_file() {
  if (file_->was_moved()) {
    file_->finish_elsewhere();
    log::error(
        "history: '{}' was moved or deleted while in use; all rows are in the moved file, and {}",
        options_.path.string(),
        std::filesystem::exists(options_.path) ? "the file that is in its place is used"
                                               : "a new one is begun");
    file_.reset();
    return;
  }
  if (!file_->was_overwritten()) {
    overwritten_.reset();
    return;
  }
  const auto now = stamp_of(options_.path);
  if (std::exchange(overwritten_, now) != now) {
    throw std::runtime_error("another program writes the file; it is read when that has finished");
  }
  put_log_aside();
}

// Sets the -wal aside, so that the file is what the other program wrote.
void History::put_log_aside() {
  overwritten_.reset();
  file_->leave_as_it_is();
  file_.reset();
  const auto name = set_log_aside(options_.path);
  log::error(
      "history: '{}' was overwritten while in use and is used as it is now; what was to be "
      "written into the former one is in '{}'",
      options_.path.string(), name.string());
}

void History::write_names() {
  std::vector<ServiceName> services;
  {
    const std::lock_guard lock(mutex_);
    if (!has_new_names_) return;
    services = services_;
  }
  file_->write(std::span<const ServiceName>(services));
  const std::lock_guard lock(mutex_);
  has_new_names_ = services != services_;
}

// Deletes in parts, so that new observations never wait for long.
void History::expire() {
  const Deleted deleted = file_->expire(options_.retention_days, kExpireRows);
  if (deleted.events + deleted.clients == 0) expire_at_ = Clock::now() + kExpireEvery;
}

void History::trim(std::size_t written) {
  for (std::size_t step = 0; step < kTrimSteps + written * kTrimSteps / kTrimRows; ++step) {
    const Deleted deleted = file_->trim(options_.max_bytes, kTrimRows);
    if (deleted.events + deleted.clients == 0) return;
    if (!std::exchange(is_trimming_known_, true)) {
      log::warn("history: '{}' has reached max_mib = {}: the oldest events are deleted",
                options_.path.string(), options_.max_bytes >> 20);
    }
    const std::lock_guard lock(mutex_);
    status_.trimmed_events += deleted.events;
    status_.trimmed_clients += deleted.clients;
  }
  expire_at_ = std::min(expire_at_, Clock::now());
}

void History::look_at_clock() {
  look_at_ = Clock::now() + options_.look_every;
  if (const std::int64_t jump_ms = file_->clock_jump_ms(); jump_ms != 0) {
    log::warn("history: the clock was set {}; ages of rows do not change by it", in_words(jump_ms));
  }
}

void History::open_file() {
  std::vector<ServiceName> services;
  {
    const std::lock_guard lock(mutex_);
    services = services_;
  }
  file_ =
      std::make_unique<HistoryFile>(FileOptions{.path = options_.path,
                                                .check_limit = options_.check_limit,
                                                .services = services,
                                                .ring = options_.ring,
                                                .events_per_minute = options_.events_per_minute},
                                    options_.clocks);
  const std::lock_guard lock(mutex_);
  ++status_.openings;
  status_.bytes = file_->bytes();
  has_new_names_ = true;
  newest_lesson_ = file_->newest_lesson();
  status_.clients = file_->clients();
}

void History::set_aside_file(const std::string& why) {
  if (file_) file_->leave_as_it_is();
  file_.reset();
  const auto name = set_aside(options_.path);
  may_set_aside_at_ = Clock::now() + kSetAsideEvery;
  log::error("history: '{}' is damaged ({}); it was set aside as '{}' and a new one is begun",
             options_.path.string(), why, name.string());
  const std::lock_guard lock(mutex_);
  status_.set_aside = name;
}

void History::succeeded() {
  retry_after_ = options_.retry_after;
  const std::lock_guard lock(mutex_);
  if (status_.ok) return;
  status_.ok = true;
  status_.error.clear();
  log::warn("history: '{}' is written again; merged so far: {}, lost: {}", options_.path.string(),
            backlog_.merged(), backlog_.lost());
}

void History::failed(const std::string& error) {
  commit_at_ = Clock::now() + retry_after_;
  retry_after_ = std::min(2 * retry_after_, kLongestRetry);
  const std::lock_guard lock(mutex_);
  if (status_.ok) {
    log::error("history: '{}' cannot be written, going on from memory: {}", options_.path.string(),
               error);
  }
  status_.ok = false;
  status_.error = error;
}

}  // namespace remora
