// SPDX-License-Identifier: Apache-2.0
//
// A thread that serves routed connections, with its own event loop. If something holds it up, the
// rest of the daemon goes on.
#pragma once

#include <atomic>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "daemon/base/event_loop.h"
#include "daemon/router/connection.h"

namespace remora::router {

struct WorkerLimits {
  std::size_t connections = 20'000;
  std::size_t memory = 256 * 1024 * 1024;  // bytes, for all connections
};

class Worker {
 public:
  // Accepts from `listener` until destroyed. The listener must not block, and may be shared with
  // other workers. Throws std::runtime_error or std::system_error.
  Worker(Fd listener, const Options& options, Surroundings surroundings,
         const WorkerLimits& limits = {});
  ~Worker();

  // From now on these are the surroundings, also of the connections that there are.
  void change(Surroundings surroundings);

  std::size_t connections() const { return connection_count_; }
  std::uint64_t accepted() const { return accepted_; }
  std::size_t memory() const { return memory_; }
  // The time when its thread last handled its timers.
  Time last_tick() const { return Time(last_tick_); }
  // Number of connections closed at once because there were too many.
  std::uint64_t turned_away() const { return turned_away_; }

 private:
  static constexpr std::size_t kBuffer = 256 * 1024;

  void post(std::function<void()> task);
  void accept();
  void evict();
  void run_tasks();
  void tick();

  Options options_;
  Surroundings surroundings_;
  WorkerLimits limits_;
  std::vector<std::uint8_t> buffer_;
  std::vector<std::uint8_t> unread_;  // for bytes of lingering sockets

  EventLoop loop_;
  Lingering lingering_;
  Shared shared_;
  std::list<std::unique_ptr<Connection>> connections_;
  std::atomic<std::size_t> connection_count_ = 0;
  std::atomic<std::uint64_t> accepted_ = 0;
  std::atomic<std::uint64_t> turned_away_ = 0;
  std::atomic<std::size_t> memory_ = 0;
  std::atomic<Time::rep> last_tick_ = 0;

  Fd listener_;
  std::unique_ptr<Watch> acceptable_;
  Fd wake_;
  std::mutex mutex_;
  std::deque<std::function<void()>> tasks_;
  double evictions_ = 0;  // that are allowed now
  std::atomic<bool> stops_ = false;
  std::thread thread_;
};

}  // namespace remora::router
