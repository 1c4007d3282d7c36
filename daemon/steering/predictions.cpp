// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/predictions.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "daemon/base/callback.h"
#include "daemon/base/clock.h"
#include "log/log.h"

namespace remora {
namespace {

constexpr __u32 kOnly = 0;

constexpr std::size_t kClientsOfABatch = 4096;
constexpr std::size_t kNewestClients = 100'000;

// Ends the reading of the history.
struct Stopped {};

LessonClock set_clock(const Maps& maps, LessonTime newest) {
  ::settings now = maps.settings.find(kOnly).value_or(::settings{});
  const LessonClock clock(monotonic_ns(), unix_ms(), newest, now.lesson_clock_ns);
  now.lesson_clock_ns = clock.clock_ns();
  maps.settings.put(kOnly, now);
  return clock;
}

// Reads the services of clients, most of which have the same one.
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

Predictions::Predictions(const Maps& maps, History& history, std::uint64_t limit)
    : maps_(maps),
      history_(history),
      limit_(limit),
      clock_(set_clock(maps, history.newest_lesson())) {}

void Predictions::catch_up_with(LessonTime newest) {
  if (newest > clock_.at(monotonic_ns())) clock_ = set_clock(maps_, newest);
}

std::vector<lesson_outcome> Predictions::merge(const TopicMatching& matching,
                                               std::span<const Lesson> lessons,
                                               Clients clients) const {
  std::vector<ClientLesson> merged;
  std::vector<std::size_t> places;
  merged.reserve(lessons.size());
  places.reserve(lessons.size());
  for (std::size_t i = 0; i < lessons.size(); ++i) {
    const Lesson& each = lessons[i];
    const auto* service = matching.find(each.service);
    const auto group = matching.number_of(each.group);
    if (!service || !group) continue;
    merged.push_back({.client = {each.client.abi(), service->number, 0},
                      .kind = clients == Clients::kKnown ? std::uint32_t{LESSON_NO_NEW} : 0,
                      .lesson = {.topic_hash = matching.hash(each.topic),
                                 .time = static_cast<__u32>(each.time),
                                 .group = *group,
                                 .flags = PREDICTION_TOLD},
                      .outcome = {}});
    places.push_back(i);
  }
  maps_.predictions.merge(merged, static_cast<std::uint32_t>(clock_.at(monotonic_ns())));
  std::vector<lesson_outcome> outcomes(lessons.size());
  for (std::size_t i = 0; i < merged.size(); ++i) outcomes[places[i]] = merged[i].outcome;
  return outcomes;
}

Predictions::Changes Predictions::merge_history(
    const TopicMatching& matching, std::uint64_t room, const std::stop_token& stop,
    const std::function<void(std::size_t)>& on_merged) const {
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
    if (on_merged) on_merged(clients.size());
  };
  try {
    history_.for_each_client(use, kClientsOfABatch, room);
  } catch (const Stopped&) {
    // The next pass starts again.
  }
  return changes;
}

Predictions::Changes Predictions::load(const TopicMatching& matching, const std::stop_token& stop,
                                       const std::function<void(std::size_t)>& on_merged) const {
  return merge_history(matching, limit_, stop, on_merged);
}

Predictions::Changes Predictions::rematch(const TopicMatching& matching,
                                          const std::stop_token& stop) const {
  return merge_history(matching, 0, stop);
}

template <class Work>
void Predictions::start(std::shared_ptr<const TopicMatching> matching, const Work& work) {
  thread_ = std::jthread();  // stops and joins it; that takes one batch at most
  std::promise<void> newest, done;
  newest_ = newest.get_future();
  done_ = done.get_future();
  thread_ = std::jthread([this, work, matching = std::move(matching), newest = std::move(newest),
                          done = std::move(done)](const std::stop_token& stop) mutable {
    std::size_t merged = 0;
    const auto count = [&](std::size_t clients) {
      const bool were_in = merged >= kNewestClients;
      merged += clients;
      if (!were_in && merged >= kNewestClients) newest.set_value();
    };
    guarded("merging the history into the predictions", [&] {
      const auto [loaded, followed] = work(*matching, stop, count);
      if (stop.stop_requested()) return;
      log::info("clients that move to another group: {}; restored from the history: {}", followed,
                loaded);
    });
    done.set_value();
    if (merged < kNewestClients) newest.set_value();
  });
}

bool Predictions::wait_for_newest(std::chrono::milliseconds patience) const {
  newest_.wait_for(patience);
  return done_.wait_for(std::chrono::seconds::zero()) == std::future_status::ready;
}

void Predictions::start_load(std::shared_ptr<const TopicMatching> matching) {
  start(std::move(matching), [this](const TopicMatching& now, const std::stop_token& stop,
                                    const auto& count) { return load(now, stop, count); });
}

void Predictions::start_rematch(std::shared_ptr<const TopicMatching> matching) {
  start(std::move(matching), [this](const TopicMatching& now, const std::stop_token& stop,
                                    const auto&) { return rematch(now, stop); });
}

}  // namespace remora
