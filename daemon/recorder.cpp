// SPDX-License-Identifier: Apache-2.0
#include "daemon/recorder.h"

#include <spdlog/spdlog.h>

#include <string>

#include "daemon/clock.h"

namespace remora {
namespace {

// The record of a connection that ended long ago: a RST would reach nobody, or
// somebody else.
constexpr std::uint64_t kStaleNs = 5'000'000'000;

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

Recorder::Recorder(const Numbers& numbers, const Steering& steering, Mender& mender,
                   History& history)
    : numbers_(numbers), steering_(steering), mender_(mender), history_(history) {}

void Recorder::take(const Record& record) {
  ++records_;
  if (record.head.action == ACTION_RESET) mend(record);
  remember(record);
}

// Only of a segment: what names a topic alone has no numbers to end anything with.
void Recorder::mend(const Record& record) {
  const event& head = record.head;
  const auto service = steering_.endpoint_of(head.flow.service);
  if ((head.flags & EVENT_SEGMENT) == 0 || !service) return;
  const bool is_stale = monotonic_ns() - head.seen_at_ns > kStaleNs;
  if ((head.flags & EVENT_RESET_SENT) == 0 && !is_stale) mender_.reset_client(record, *service);
  // The session at the broker waits for as long as it takes: nothing reaches it
  // any more but this.
  if (const auto real = numbers_.real_address(head.real)) {
    mender_.end_session(record, *service, *real);
  }
}

void Recorder::remember(const Record& record) {
  const event& head = record.head;
  const auto topic = record.topic();
  if (!topic) return;
  const auto service = numbers_.service_name(head.flow.service);
  const auto group = numbers_.group_name(head.to_group);
  if (!service || !group) {
    spdlog::warn("a record names group {} or service {}, which nobody knows", head.to_group,
                 head.flow.service);
    return;
  }
  Observation seen{.at_ms = Clocks().to_unix_ms(head.seen_at_ns),
                   .service = *service,
                   .client = to_string(Address(head.flow.client)),
                   .topic = std::string(*topic),
                   .group = *group,
                   .from_group = std::nullopt,
                   .action = action_of(head)};
  if (seen.action != Action::learned) seen.from_group = numbers_.group_name(head.from_group);
  history_.record(std::move(seen));
}

}  // namespace remora
