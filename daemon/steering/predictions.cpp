// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/predictions.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "daemon/base/callback.h"
#include "daemon/base/clock.h"
#include "daemon/kernel/fill_gauge.h"
#include "log/log.h"

namespace remora {
namespace {

constexpr __u32 kOnly = 0;

// An LRU table begins to evict before it is full: each CPU holds up to so many
// free entries for itself (the kernel's LOCAL_FREE_TARGET).
constexpr std::uint64_t kHeldPerCpu = 128;

constexpr std::size_t kClientsOfABatch = 4096;

// Ends the reading of the history.
struct Stopped {};

LessonClock set_clock(const Maps& maps, LessonTime newest) {
  ::settings now = maps.settings.find(kOnly).value_or(::settings{});
  const LessonClock clock(monotonic_ns(), unix_ms(), newest, now.lesson_clock_ns);
  now.lesson_clock_ns = clock.clock_ns();
  maps.settings.put(kOnly, now);
  return clock;
}

// Services of clients, of which most have the same.
class ServiceReader {
 public:
  explicit ServiceReader(const TopicMatching& matching) : matching_(matching) {}

  // Nothing unless the service is configured.
  const TopicMatching::Service* read(const std::string& text) {
    if (text != text_) {
      text_ = text;
      at_ = Endpoint::parse(text);
      service_ = at_ ? matching_.find(*at_) : nullptr;
    }
    return service_;
  }
  const Endpoint& at() const { return *at_; }

 private:
  const TopicMatching& matching_;
  std::string text_;
  std::optional<Endpoint> at_;
  const TopicMatching::Service* service_ = nullptr;
};

// By today's routes. Clients of services that are not configured are left out.
void add_lessons(const TopicMatching& matching, std::span<const KnownClient> clients,
                 std::vector<Lesson>& lessons) {
  ServiceReader reader(matching);
  for (const KnownClient& client : clients) {
    const auto* service = reader.read(client.service);
    const auto address = Address::parse(client.client);
    if (!service || !address) continue;
    lessons.push_back({.service = reader.at(),
                       .client = *address,
                       .topic = client.topic,
                       .group = std::string(matching.group_for(*service, client.topic)),
                       .time = client.lesson_time,
                       .origin = Origin::kHistory});
  }
}

}  // namespace

Predictions::Predictions(const Maps& maps, const LessonWriter& writer, History& history,
                         std::uint64_t limit)
    : maps_(maps),
      writer_(writer),
      history_(history),
      limit_(limit),
      clock_(set_clock(maps, history.newest_lesson())) {}

void Predictions::catch_up_with(LessonTime newest) {
  if (newest > clock_.at(monotonic_ns())) clock_ = set_clock(maps_, newest);
}

std::vector<lesson_outcome> Predictions::merge(const TopicMatching& matching,
                                               std::span<const Lesson> lessons,
                                               Clients clients) const {
  std::vector<lesson> frame;
  std::vector<std::size_t> places;
  frame.reserve(lessons.size());
  places.reserve(lessons.size());
  for (std::size_t i = 0; i < lessons.size(); ++i) {
    const Lesson& each = lessons[i];
    const auto* service = matching.find(each.service);
    const auto group = matching.number_of(each.group);
    if (!service || !group) continue;
    frame.push_back({.client = {each.client.abi(), service->number, 0},
                     .kind = static_cast<__u16>(clients == Clients::kKnown ? LESSON_NO_NEW : 0),
                     .outcome = 0,
                     .prediction = {.topic_hash = matching.hash(each.topic),
                                    .time = static_cast<__u32>(each.time),
                                    .group = *group,
                                    .check = 0,
                                    .flags = PREDICTION_TOLD}});
    places.push_back(i);
  }
  writer_.merge(frame);
  std::vector<lesson_outcome> outcomes(lessons.size());
  for (std::size_t i = 0; i < frame.size(); ++i) {
    outcomes[places[i]] = static_cast<lesson_outcome>(frame[i].outcome);
  }
  return outcomes;
}

std::uint64_t Predictions::room(Found found) const {
  const auto cpus = static_cast<std::uint64_t>(std::max(libbpf_num_possible_cpus(), 1));
  const std::uint64_t usable = limit_ - std::min(kHeldPerCpu * cpus, limit_ / 4);
  if (found == Found::kNewTable) return usable;
  const std::uint64_t used = count_entries(maps_.predictions);
  return usable > used ? usable - used : 0;
}

Predictions::Changes Predictions::merge_history(const TopicMatching& matching, std::uint64_t room,
                                                const std::stop_token& stop) const {
  Changes changes;
  std::vector<Lesson> lessons;
  const auto use = [&](std::span<const KnownClient> clients) {
    if (stop.stop_requested()) throw Stopped();
    lessons.clear();
    add_lessons(matching, clients, lessons);
    for (std::span<const Lesson> left = lessons; !left.empty();) {
      const bool has_room = changes.loaded < room;
      const auto part =
          left.first(has_room ? std::min(left.size(), room - changes.loaded) : left.size());
      for (const lesson_outcome outcome :
           merge(matching, part, has_room ? Clients::kAll : Clients::kKnown)) {
        changes.loaded += outcome == LESSON_NEW ? 1 : 0;
        changes.followed += outcome == LESSON_CHANGED ? 1 : 0;
      }
      left = left.subspan(part.size());
    }
  };
  try {
    history_.for_each_client(use, kClientsOfABatch, room);
  } catch (const Stopped&) {
    // The next pass starts again.
  }
  return changes;
}

Predictions::Changes Predictions::load(const TopicMatching& matching, Found found,
                                       const std::stop_token& stop) const {
  return merge_history(matching, room(found), stop);
}

Predictions::Changes Predictions::rematch(const TopicMatching& matching,
                                          const std::stop_token& stop) const {
  return merge_history(matching, 0, stop);
}

template <class Work>
void Predictions::start(std::shared_ptr<const TopicMatching> matching, const Work& work) {
  thread_ = std::jthread();  // stops and joins: a batch at most
  std::promise<void> done;
  done_ = done.get_future();
  thread_ = std::jthread([this, work, matching = std::move(matching),
                          done = std::move(done)](const std::stop_token& stop) mutable {
    guarded("merging the history into the predictions", [&] {
      const auto [loaded, followed] = work(*matching, stop);
      if (stop.stop_requested()) return;
      log::info("{} predictions follow their topics, {} loaded from the history", followed, loaded);
    });
    done.set_value();
  });
}

bool Predictions::wait(std::chrono::milliseconds patience) const {
  return done_.wait_for(patience) == std::future_status::ready;
}

void Predictions::start_load(std::shared_ptr<const TopicMatching> matching, Found found) {
  start(std::move(matching), [this, found](const TopicMatching& now, const std::stop_token& stop) {
    return load(now, found, stop);
  });
}

void Predictions::start_rematch(std::shared_ptr<const TopicMatching> matching) {
  start(std::move(matching), [this](const TopicMatching& now, const std::stop_token& stop) {
    return rematch(now, stop);
  });
}

}  // namespace remora
