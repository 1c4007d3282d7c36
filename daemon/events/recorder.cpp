// SPDX-License-Identifier: Apache-2.0
#include "daemon/events/recorder.h"

#include <utility>

#include "daemon/base/clock.h"
#include "daemon/mqtt/topic_filter.h"
#include "log/log.h"

namespace remora {
namespace {

// The record of a connection that ended long ago: a RST would reach nobody, or
// somebody else.
constexpr std::uint64_t kStaleNs = 5'000'000'000;

// Observations that wait for the disk, above which unjudged topics are not added:
// they may have 65535 bytes each.
constexpr std::uint64_t kMayWait = 1024;

Action action_of(const event& head) {
  switch (head.action) {
    case ACTION_RESET:
      return Action::reset;
    case ACTION_KEPT:
      return Action::kept;
    case ACTION_DROPPED:
      return Action::dropped;
    default:
      return Action::learned;
  }
}

}  // namespace

Recorder::Recorder(const Maps& maps, const Ids& ids, const Steering& steering, Ender& ender,
                   History& history)
    : maps_(maps), ids_(ids), steering_(steering), ender_(ender), history_(history) {}

void Recorder::take(const Record& record) {
  ++records_;
  const event& head = record.head;
  if (head.action == ACTION_UNJUDGED) {
    learn(record);
    return;
  }
  if (head.action == ACTION_RESET) mend(record);
  if (const auto topic = record.topic()) remember(head, std::string(*topic), head.to_group);
}

// Only of a segment: what names a topic alone has no numbers to end anything with.
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
  // The session at the broker waits for as long as it takes: nothing reaches it
  // any more but this.
  if (const auto way = steering_.way_to(head.from_group, head.real)) {
    ender_.end_session(record, *service, *way, now_ns);
  }
}

void Recorder::learn(const Record& piece) {
  const event& head = piece.head;
  std::optional<std::string> topic = pieces_.add(piece);
  if (!topic) return;
  ++unjudged_.topics;
  if (topic_problem(*topic)) {  // the broker's business
    ++unjudged_.invalid;
    return;
  }
  const auto& matching = *steering_.matching();
  const auto at = steering_.endpoint_of(head.flow.service);
  const auto service = at ? matching.services.find(*at) : matching.services.end();
  if (service == matching.services.end()) return;  // gone with a reload

  const std::uint16_t group = matching.group_for(service->second, *topic);
  bool is_news = predict(head, *topic, group);
  if (history_.status().queue_depth >= kMayWait) {
    ++unjudged_.unrecorded;
    return;
  }
  const client_key client{head.flow.client, head.flow.service, 0};
  is_news = last_topics_.is_news(client, *topic) || is_news;
  if (is_news) remember(head, std::move(*topic), group);
}

// Returns whether the prediction was another one. A later one stays: the kernel
// has judged a PUBLISH meanwhile.
bool Recorder::predict(const event& head, std::string_view topic, std::uint16_t group) {
  const client_key client{head.flow.client, head.flow.service, 0};
  const prediction wanted{.topic_hash = steering_.matching()->hash(topic),
                          .seen_at_ns = head.seen_at_ns,
                          .group = group,
                          .pad = {}};
  const auto known = maps_.predictions.find(client);
  if (known && known->seen_at_ns > head.seen_at_ns) return false;
  if (known && known->topic_hash == wanted.topic_hash && known->group == group) return false;
  maps_.predictions.put(client, wanted);
  return true;
}

void Recorder::remember(const event& head, std::string topic, std::uint16_t group) {
  const auto service = ids_.service_text(head.flow.service);
  const auto group_name = ids_.group_name(group);
  if (!service || !group_name) {
    log::warn("a record names group {} or service {}, which nobody knows", group,
              head.flow.service);
    return;
  }
  Observation seen{.at_ms = Clocks().to_unix_ms(head.seen_at_ns),
                   .service = *service,
                   .client = to_string(Address(head.flow.client)),
                   .topic = std::move(topic),
                   .group = *group_name,
                   .from_group = std::nullopt,
                   .action = action_of(head)};
  if (seen.action != Action::learned) seen.from_group = ids_.group_name(head.from_group);
  history_.record(std::move(seen));
}

}  // namespace remora
