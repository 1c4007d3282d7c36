// SPDX-License-Identifier: Apache-2.0
#include "store/event_writer.h"

#include <functional>
#include <stdexcept>
#include <string_view>

#include "store/printable.h"

namespace remora {

const char* name_of(Action action) {
  switch (action) {
    case Action::learned:
      return "learned";
    case Action::reset:
      return "reset";
    case Action::kept:
      return "kept";
    case Action::dropped:
      return "dropped";
    case Action::changing:
      return "changing";
    case Action::routed:
      return "routed";
    case Action::would_reset:
      return "would reset";
    case Action::would_keep:
      return "would keep";
    case Action::would_drop:
      return "would drop";
    case Action::unjudged:
      return "unjudged";
  }
  throw std::invalid_argument("an action without a name");
}

namespace {

// Equal for events of a client that may share a row.
std::uint64_t hash_of(const Observation& seen, const std::optional<std::string>& old_topic,
                      const std::optional<std::string>& from_group) {
  static const std::string kNone;
  std::string all = name_of(seen.action);
  for (const std::string* part : {old_topic ? &*old_topic : &kNone, &seen.topic,
                                  from_group ? &*from_group : &kNone, &seen.group}) {
    all += std::to_string(part->size()) + ':';
    all += *part;
  }
  return std::hash<std::string>()(all);
}

std::uint64_t hash_of_summary(Action action) {
  return std::hash<std::string>()(std::string("summary of ") + name_of(action));
}

void bind_optional(Statement& statement, int index, const std::optional<std::string>& text) {
  if (text) {
    statement.bind(index, std::string_view(*text));
  } else {
    statement.bind(index, Null{});
  }
}

}  // namespace

void bind_topic(Statement& statement, int index, std::string_view topic) {
  if (is_printable(topic)) {
    statement.bind(index, topic);
  } else {
    statement.bind(index, Blob{topic});
  }
}

EventWriter::EventWriter(Connection& connection, std::uint32_t per_minute)
    : connection_(&connection),
      rows_(per_minute),
      insert_(connection,
              "INSERT INTO events (at, until, count, client, service, action, to_group,"
              " from_group, old_topic, new_topic)"
              " VALUES (?1, ?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
      count_(connection,
             "UPDATE events SET count = count + 1, until = max(until, ?2) WHERE id = ?1"),
      find_(connection,
            "SELECT new_topic, to_group FROM events"
            " WHERE client = ?1 AND service = ?2 AND at <= ?3 AND new_topic IS NOT NULL"
            " ORDER BY at DESC, id DESC LIMIT 1") {}

void EventWriter::write(const Observation& seen, const std::optional<std::string>& old_topic,
                        const std::optional<std::string>& from_group, std::int64_t now_s) {
  const EventRows::Client client{seen.service, seen.client};
  const std::uint64_t event = hash_of(seen, old_topic, from_group);
  if (count(client, event, seen, now_s)) return;
  const std::size_t bytes = seen.topic.size() + (old_topic ? old_topic->size() : 0);
  if (rows_.take_share(client, bytes, now_s)) {
    rows_.add(client, event, insert(seen, old_topic, from_group), now_s, EventRows::kRowLastsS);
    return;
  }
  const std::uint64_t summary = hash_of_summary(seen.action);
  if (count(client, summary, seen, now_s)) return;
  rows_.add(client, summary, insert_summary(seen), now_s, EventRows::kMinuteS);
}

// Returns false if there is no row to count in, or if it was deleted to make room.
bool EventWriter::count(const EventRows::Client& client, std::uint64_t event,
                        const Observation& seen, std::int64_t now_s) {
  const auto row = rows_.find(client, event, now_s);
  if (!row) return false;
  count_.run(*row, seen.at_ms);
  return connection_->changes() > 0;
}

std::int64_t EventWriter::insert(const Observation& seen,
                                 const std::optional<std::string>& old_topic,
                                 const std::optional<std::string>& from_group) {
  insert_.start(seen.at_ms, seen.client, seen.service, name_of(seen.action), seen.group);
  bind_optional(insert_, 6, from_group);
  if (old_topic) bind_topic(insert_, 7, *old_topic);
  bind_topic(insert_, 8, seen.topic);
  insert_.finish();
  return connection_->last_id();
}

// Names no topics and groups, because they differ between the events of the row.
std::int64_t EventWriter::insert_summary(const Observation& seen) {
  insert_.start(seen.at_ms, seen.client, seen.service, name_of(seen.action));
  insert_.finish();
  return connection_->last_id();
}

std::optional<TopicState> EventWriter::before(const std::string& client, const std::string& service,
                                              std::int64_t at_ms) {
  std::optional<TopicState> found;
  if (find_.start(client, service, at_ms).step()) {
    found = TopicState{find_.bytes(0), find_.bytes(1)};
  }
  find_.reset();
  return found;
}

}  // namespace remora
