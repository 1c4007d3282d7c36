// SPDX-License-Identifier: Apache-2.0
#include "daemon/events/recorder.h"

#include <span>
#include <utility>

#include "daemon/base/clock.h"
#include "daemon/config/problem.h"
#include "daemon/kernel/event_ring.h"
#include "daemon/mqtt/topic_filter.h"
#include "log/fields.h"

namespace remora {
namespace {

// Age of a record above which its connection ended long ago: a RST would reach nobody, or another
// connection.
constexpr std::uint64_t kQuietNs = 10'000'000'000;  // from one line on mispredicts to the next
constexpr std::uint64_t kStaleNs = 5'000'000'000;

// Number of observations waiting for the disk above which unjudged topics are not added: they may
// have 65535 bytes each.
constexpr std::uint64_t kMayWait = 1024;

constexpr __u32 kOnly = 0;

Action would_be(Policy policy) {
  switch (policy) {
    case Policy::kReset:
      return Action::would_reset;
    case Policy::kDrop:
      return Action::would_drop;
    case Policy::kKeep:
      break;
  }
  return Action::would_keep;
}

Action action_of(const event& head) {
  switch (head.action) {
    case ACTION_RESET:
      return Action::reset;
    case ACTION_KEPT:
      return Action::kept;
    case ACTION_DROPPED:
      return Action::dropped;
    case ACTION_UNJUDGED:
      return Action::unjudged;
    case ACTION_CHANGING:
      return Action::changing;
    default:
      return Action::learned;
  }
}

}  // namespace

Recorder::Recorder(const Maps& maps, const Ids& ids, const Steering& steering,
                   const Predictions& predictions, Ender& ender, History& history)
    : maps_(maps),
      ids_(ids),
      steering_(steering),
      predictions_(predictions),
      ender_(ender),
      history_(history),
      ring_id_(ring_id(maps.events_fd)) {
  const auto earlier = maps.ring_reading.find(kOnly);
  if (earlier && earlier->ring == ring_id_) ended_to_ = earlier->ended_to;
}

void Recorder::take(const Record& record, RecordPlace place) {
  ++records_;
  place_ = place;
  const event& head = record.head;
  if (head.action == ACTION_PIECE) {
    learn(record);
    return;
  }
  if (head.action == ACTION_UNJUDGED) {
    remember_unjudged(head);
    return;
  }
  if (head.action == ACTION_RESET && is_first_time()) mend(record);
  const auto topic = record.topic();
  if (!topic) return;
  if (const auto group = ids_.group_name(head.to_group)) {
    remember(head, std::string(*topic), *group, time_of(head, *topic));
  } else {
    log::warn("a record names group {}, which nobody knows", head.to_group);
  }
}

// Records the client and the group at which its connection stays.
void Recorder::remember_unjudged(const event& head) {
  const auto group = ids_.group_name(head.from_group);
  if (!group) return;  // a reload has removed it
  remember(head, {}, *group, predictions_.clock().at(head.seen_at_ns));
}

// Notes the record before anything is sent. So if remorad is killed, a session may be left to its
// keepalive, but a client's next connection from the same port is not ended.
bool Recorder::is_first_time() {
  if (place_.end == 0) return true;
  if (place_.end <= ended_to_) return false;
  ended_to_ = place_.end;
  maps_.ring_reading.put(kOnly, {ring_id_, 0, ended_to_});
  return true;
}

// Only for records of a segment: records of a topic alone lack the numbers needed to end anything.
void Recorder::mend(const Record& record) {
  const event& head = record.head;
  const auto service = steering_.endpoint_of(head.flow.service);
  if ((head.flags & EVENT_SEGMENT) == 0 || !service) return;
  const std::uint64_t now_ns = monotonic_ns();
  const bool is_stale = now_ns - head.seen_at_ns > kStaleNs;
  if ((head.flags & EVENT_RESET_SENT) == 0 && !is_stale) {
    if ((head.flags & EVENT_TELL) != 0) {
      ender_.send_client_elsewhere(record, *service);
    } else {
      ender_.reset_client(record, *service);
    }
  }
  // The session at the broker waits for as long as necessary, because nothing else reaches it any
  // more.
  if (const auto way = steering_.way_to(head.from_group, head.real)) {
    ender_.end_session(record, *service, *way, now_ns);
  }
}

void Recorder::learn(const Record& piece) {
  const event& head = piece.head;
  std::optional<std::string> topic = pieces_.add(piece, place_.begin);
  if (!topic) return;
  ++unjudged_.topics;
  if (topic_problem(*topic)) {  // the broker has to handle it
    ++unjudged_.invalid;
    return;
  }
  const auto& matching = *steering_.matching();
  const auto at = steering_.endpoint_of(head.flow.service);
  const auto* service = at ? matching.find(*at) : nullptr;
  if (!service) return;  // a reload has removed it

  std::string group(matching.group_for(*service, *topic));
  Lesson lesson{.service = *at,
                .client = Address(head.flow.client),
                .topic = std::move(*topic),
                .group = std::move(group),
                .time = predictions_.clock().whole(head.time, head.seen_at_ns),
                .origin = Origin::kDaemon};
  const lesson_outcome outcome = predictions_.merge(matching, std::span(&lesson, 1)).front();
  bool is_news = outcome == LESSON_NEW || outcome == LESSON_CHANGED;
  if (history_.status().queue_depth >= kMayWait) {
    ++unjudged_.unrecorded;
    return;
  }
  const client_key client{head.flow.client, head.flow.service, 0};
  is_news = last_topics_.is_news(client, lesson.topic) || is_news;
  if (is_news) remember(head, std::move(lesson.topic), lesson.group, lesson.time);
}

// The probe does not know the time of the lesson. The prediction has it, unless the client has
// taught something else since.
LessonTime Recorder::time_of(const event& head, std::string_view topic) const {
  const LessonClock& clock = predictions_.clock();
  if (head.time != 0) return clock.whole(head.time, head.seen_at_ns);
  const auto known = maps_.predictions.find({head.flow.client, head.flow.service, 0});
  const bool is_this = known && known->topic_hash == steering_.matching()->hash(topic);
  return is_this ? clock.whole(known->time, head.seen_at_ns) : clock.at(head.seen_at_ns);
}

void Recorder::remember(const event& head, std::string topic, const std::string& group,
                        LessonTime time) {
  const auto service = ids_.service_text(head.flow.service);
  if (!service) {
    log::warn("a record names service {}, which nobody knows", head.flow.service);
    return;
  }
  Observation seen{.at_ms = Clocks().to_unix_ms(head.seen_at_ns),
                   .service = *service,
                   .client = to_string(Address(head.flow.client)),
                   .topic = std::move(topic),
                   .group = group,
                   .from_group = std::nullopt,
                   .action = in_shadow(action_of(head), group),
                   .lesson_time = time,
                   .position = place_.end};
  if (seen.action != Action::learned) seen.from_group = ids_.group_name(head.from_group);
  if (seen.from_group && !seen.topic.empty()) tell(seen);
  history_.record(std::move(seen));
}

Action Recorder::in_shadow(Action action, const std::string& group) const {
  if (action != Action::kept) return action;
  const auto found = would_.find(group);
  return found == would_.end() ? action : found->second;
}

void Recorder::use(const Config& config) {
  would_.clear();
  if (config.lb.mode != Mode::kShadow) return;
  for (const Group& group : config.groups)
    would_[group.name] = would_be(configured_policy_of(config, group));
}

// A line in ten seconds at most: the history has all of them.
void Recorder::tell(const Observation& mispredict) {
  const std::uint64_t now_ns = monotonic_ns();
  if (told_at_ns_ != 0 && now_ns - told_at_ns_ < kQuietNs) {
    ++untold_;
    return;
  }
  std::string others;
  if (untold_ > 0) others = " (and " + std::to_string(untold_) + " others since the last line)";
  log::With({{"CLIENT", mispredict.client}, {"GROUP", mispredict.group}})
      .info("client {} published {} of group {} on a connection to group {}: {}{}",
            mispredict.client, in_quotes(mispredict.topic), mispredict.group,
            *mispredict.from_group, name_of(mispredict.action), others);
  told_at_ns_ = now_ns;
  untold_ = 0;
}

}  // namespace remora
