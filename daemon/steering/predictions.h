// SPDX-License-Identifier: Apache-2.0
//
// The kernel's predictions, as user space writes them: by lessons.
//
// Fills the table from the history at the start, and matches known topics again when routes
// change. Matching a million clients takes seconds, so it runs on a thread of its own, which
// touches the kernel and the history only.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "daemon/kernel/lesson_writer.h"
#include "daemon/kernel/maps.h"
#include "daemon/steering/lesson.h"
#include "daemon/steering/topic_matching.h"
#include "store/history.h"

namespace remora {

class Predictions {
 public:
  // All must outlive it. `limit`: entries of the table. Sets the clock of lessons in the
  // kernel.
  Predictions(const Maps& maps, const LessonWriter& writer, History& history, std::uint64_t limit);

  const LessonClock& clock() const { return clock_; }
  // Lessons from now on are later than `newest`, which the history has.
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

  enum class Found : std::uint8_t {
    kNewTable,  // empty, and no packet is judged yet
    kInUse,
  };
  struct Changes {
    std::uint64_t loaded = 0;    // clients that had no prediction
    std::uint64_t followed = 0;  // whose topic now belongs to another group
  };
  // Fills the table from the history, the last seen clients first, as far as there is
  // room: an old client must not push out one seen later.
  Changes load(const TopicMatching& matching, Found found, const std::stop_token& stop = {}) const;

  // Predictions whose topic now belongs to another group follow. Ends early when stopped.
  Changes rematch(const TopicMatching& matching, const std::stop_token& stop = {}) const;

  // The same on a thread of its own; one that still runs is ended first.
  void start_load(std::shared_ptr<const TopicMatching> matching, Found found);
  void start_rematch(std::shared_ptr<const TopicMatching> matching);
  // Waits so long at most for what was started last. Returns whether it is done.
  bool wait(std::chrono::milliseconds patience) const;

 private:
  std::uint64_t room(Found found) const;
  Changes merge_history(const TopicMatching& matching, std::uint64_t room,
                        const std::stop_token& stop) const;
  template <class Work>
  void start(std::shared_ptr<const TopicMatching> matching, const Work& work);

  const Maps& maps_;
  const LessonWriter& writer_;
  History& history_;
  const std::uint64_t limit_;
  LessonClock clock_;
  std::future<void> done_;
  std::jthread thread_;
};

}  // namespace remora
