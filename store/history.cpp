// SPDX-License-Identifier: Apache-2.0
#include "store/history.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "log/log.h"
#include "store/history_file.h"
#include "store/migration.h"
#include "store/path_problem.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

// Rows of one transaction: some 10 ms.
constexpr std::size_t kTransactionRows = 4096;

constexpr auto kExpireEvery = 1h;
constexpr std::size_t kExpireRows = 1000;  // a transaction

// A disk that damages each new file must not be littered with them.
constexpr auto kSetAsideEvery = 60s;

std::int64_t unix_ms_before(std::chrono::days age) {
  const auto then = std::chrono::system_clock::now() - age;
  return std::chrono::duration_cast<std::chrono::milliseconds>(then.time_since_epoch()).count();
}

// What is wrong; if the path is at fault, in words.
std::string reason(const std::filesystem::path& path, const std::exception& error) {
  const std::string problem = path_problem(path);
  return problem.empty() ? error.what() : problem;
}

// Writes `rows` in transactions and leaves in it what was not written.
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

// Signals are for the daemon's loop; a thread inherits the mask of its maker.
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
      may_set_aside_at_(Clock::now()),
      retry_after_(options_.retry_after) {
  status_.ok = true;
  status_.path = options_.path;
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

void History::record(Observation observation) {
  const std::lock_guard lock(mutex_);
  const bool was_empty = backlog_.empty();
  backlog_.add(std::move(observation));
  if (was_empty) wake_.notify_one();
}

void History::touch(std::vector<LastSeen> clients) {
  const std::lock_guard lock(mutex_);
  const bool was_empty = backlog_.empty();
  for (LastSeen& seen : clients) backlog_.add(std::move(seen));
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
                              std::size_t batch) {
  try {
    HistoryFile::read(options_.path, use, batch);
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
}

// When there is something to do. mutex_ is held.
History::Clock::time_point History::due() const {
  if (flushes_asked_ > flushes_done_) return Clock::time_point::min();
  if (!status_.ok || !backlog_.empty() || has_new_names_) return commit_at_;
  if (!damage_.empty()) return Clock::time_point::min();
  return expire_at_;
}

// Tries to write all that waits. mutex_ is held, but not meanwhile.
void History::write_all(std::unique_lock<std::mutex>& lock) {
  const std::uint64_t ticket = flushes_asked_;
  commit_at_ = Clock::now() + options_.commit_every;
  if (write_some(lock) && backlog_.is_merging()) write_some(lock);
  flushes_done_ = ticket;
  attempted_.notify_all();
}

// Writes what the backlog hands out; what could not be written goes back. True:
// there was nothing of that.
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

// Takes from `batch` what it writes.
void History::write(Batch& batch) {
  if (file_ && file_->was_moved()) {
    log::error("history: '{}' was moved or deleted while in use; a new one is begun",
               options_.path.string());
    file_.reset();
  }
  if (!file_) open_file();

  write_rows(*file_, batch.observations, [this](std::size_t rows) {
    const std::lock_guard lock(mutex_);
    backlog_.finish(rows);
    status_.written += rows;
  });
  write_rows(*file_, batch.last_seen, [](std::size_t) {});
  write_names();
  if (Clock::now() >= expire_at_) expire();

  const std::lock_guard lock(mutex_);
  newest_lesson_ = file_->newest_lesson();
  status_.clients = file_->clients();
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

// A part at a time, so that new observations never wait for long.
void History::expire() {
  const std::size_t deleted =
      file_->expire(unix_ms_before(std::chrono::days(options_.retention_days)), kExpireRows);
  if (deleted == 0) expire_at_ = Clock::now() + kExpireEvery;
}

void History::open_file() {
  std::vector<ServiceName> services;
  {
    const std::lock_guard lock(mutex_);
    services = services_;
  }
  file_ = std::make_unique<HistoryFile>(options_.path, options_.check_limit, services);
  const std::lock_guard lock(mutex_);
  ++status_.openings;
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
