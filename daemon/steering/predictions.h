// SPDX-License-Identifier: Apache-2.0
//
// The kernel's predictions, as user space writes them: with lessons.
//
// Fills the table from the history at the start, and matches known topics again when routes
// change. Matching a million clients takes seconds, so it runs on a thread of its own, which
// touches the kernel and the history only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "daemon/kernel/maps.h"
#include "daemon/steering/lesson.h"
#include "daemon/steering/topic_matching.h"
#include "store/history.h"

namespace remora {

class Predictions {
 public:
  // All arguments must outlive it. `limit`: entries of the table. Sets the clock of lessons in
  // the kernel.
  Predictions(const Maps& maps, History& history, std::uint64_t limit);

  const LessonClock& clock() const { return clock_; }
  // Lessons from now on are later than `newest`, the time of the newest one in the history.
  void catch_up_with(LessonTime newest);

  enum class Clients : std::uint8_t {
    kAll,
    kKnown,  // only those that have a prediction
  };
  // Merges lessons, by the rule of the packet path: the later one counts, and a topic that
  // is known follows its group. Returns what was done with each: enum lesson_outcome, 0 for
  // one whose service or group is not configured. Any thread.
  std::vector<lesson_outcome> merge(const TopicMatching& matching, std::span<const Lesson> lessons,
                                    Clients clients = Clients::kAll) const;

  struct Changes {
    std::uint64_t loaded = 0;    // clients that had no prediction before
    std::uint64_t followed = 0;  // clients whose topic now belongs to another group
  };
  // Fills the table from the history, the last seen clients first. An old client pushes out
  // none that was seen later. `on_merged` gets the number of clients after each batch.
  Changes load(const TopicMatching& matching, const std::stop_token& stop = {},
               const std::function<void(std::size_t)>& on_merged = {}) const;

  // Moves predictions whose topic now belongs to another group. Ends early when stopped.
  Changes rematch(const TopicMatching& matching, const std::stop_token& stop = {}) const;

  // Do the same on a thread of its own. One that still runs is ended first.
  void start_load(std::shared_ptr<const TopicMatching> matching);
  void start_rematch(std::shared_ptr<const TopicMatching> matching);
  // Waits, at most so long, until the thread started last has finished or has merged the newest
  // 100 000 clients. Returns whether it has.
  bool wait_for_newest(std::chrono::milliseconds patience) const;

 private:
  Changes merge_history(const TopicMatching& matching, std::uint64_t room,
                        const std::stop_token& stop,
                        const std::function<void(std::size_t)>& on_merged = {}) const;
  template <class Work>
  void start(std::shared_ptr<const TopicMatching> matching, const Work& work);

  const Maps& maps_;
  History& history_;
  const std::uint64_t limit_;
  LessonClock clock_;
  std::future<void> newest_, done_;
  std::jthread thread_;
};

}  // namespace remora
