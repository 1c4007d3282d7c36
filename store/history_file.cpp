// SPDX-License-Identifier: Apache-2.0
#include "store/history_file.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <stdexcept>
#include <utility>
#include <vector>

#include "store/migration.h"
#include "store/opening.h"
#include "store/printable.h"

namespace remora {
namespace {

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
    case Action::unjudged:
      return "unjudged";
  }
  throw std::invalid_argument("an action without a name");
}

void bind_topic(Statement& statement, int index, std::string_view topic) {
  if (is_printable(topic)) {
    statement.bind(index, topic);
  } else {
    statement.bind(index, Blob{topic});
  }
}

void bind_optional(Statement& statement, int index, const std::optional<std::string>& text) {
  if (text) {
    statement.bind(index, std::string_view(*text));
  } else {
    statement.bind(index, Null{});
  }
}

}  // namespace

HistoryFile::HistoryFile(const std::filesystem::path& path, std::chrono::milliseconds check_limit,
                         std::span<const ServiceName> services)
    : connection_(open_to_write(path, check_limit, services)),
      clients_(static_cast<std::uint64_t>(connection_.integer("SELECT count(*) FROM clients"))),
      newest_lesson_(
          static_cast<std::uint64_t>(connection_.integer("SELECT lesson_time FROM state"))),
      find_(
          connection_,
          "SELECT topic, group_name, lesson_time FROM clients WHERE client = ?1 AND service = ?2"),
      insert_client_(connection_,
                     "INSERT INTO clients (client, service, group_name, first_seen, last_seen,"
                     " topic_since, topic, lesson_time) VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5, ?6)"),
      update_client_(connection_,
                     "UPDATE clients SET group_name = ?3, last_seen = max(last_seen, ?4),"
                     " topic_since = iif(topic = ?5, topic_since, ?4), topic = ?5, lesson_time = ?6"
                     " WHERE client = ?1 AND service = ?2"),
      widen_client_(connection_,
                    "UPDATE clients SET first_seen = min(first_seen, ?3)"
                    " WHERE client = ?1 AND service = ?2"),
      insert_event_(connection_,
                    "INSERT INTO events (at, client, service, to_group, action, from_group,"
                    " old_topic, new_topic) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
      find_event_(connection_,
                  "SELECT new_topic, to_group, at FROM events"
                  " WHERE client = ?1 AND service = ?2 AND at <= ?3"
                  " ORDER BY at DESC, id DESC LIMIT 1"),
      touch_(connection_,
             "UPDATE clients SET last_seen = ?3"
             " WHERE client = ?1 AND service = ?2 AND last_seen < ?3"),
      set_newest_lesson_(connection_, "UPDATE state SET lesson_time = ?1"),
      name_service_(connection_,
                    "INSERT INTO services (service, name) VALUES (?1, ?2)"
                    " ON CONFLICT DO UPDATE SET name = ?2 WHERE name <> ?2") {}

void HistoryFile::write(std::span<const Observation> observations) {
  Transaction transaction(connection_);
  std::uint64_t added = 0, newest = newest_lesson_;
  for (const Observation& seen : observations) {
    added += write(seen) ? 1 : 0;
    newest = std::max(newest, seen.lesson_time);
  }
  if (newest > newest_lesson_) set_newest_lesson_.run(static_cast<std::int64_t>(newest));
  transaction.commit();
  clients_ += added;
  newest_lesson_ = newest;
}

// True: the client is new.
bool HistoryFile::write(const Observation& seen) {
  const auto before = find(find_.start(seen.client, seen.service));
  if (seen.action == Action::unjudged) {
    write_unjudged(seen, before);
    return false;
  }
  if (!before) {
    write_event(seen, std::nullopt, seen.from_group);
    insert_client_.start(seen.client, seen.service, seen.group, seen.at_ms);
    bind_topic(insert_client_, 5, seen.topic);
    insert_client_.bind(6, static_cast<std::int64_t>(seen.lesson_time));
    insert_client_.finish();
    return true;
  }
  if (seen.lesson_time < before->lesson_time) {
    write_late(seen);
    return false;
  }
  write_change(seen, *before);
  update_client_.start(seen.client, seen.service, seen.group, seen.at_ms);
  bind_topic(update_client_, 5, seen.topic);
  update_client_.bind(6, static_cast<std::int64_t>(seen.lesson_time));
  update_client_.finish();
  return false;
}

// An observation that a newer one has overtaken: an event of its time, and no
// news about the client's present state.
void HistoryFile::write_late(const Observation& seen) {
  const auto before = find(find_event_.start(seen.client, seen.service, seen.at_ms));
  if (before) {
    write_change(seen, *before);
  } else {
    write_event(seen, std::nullopt, seen.from_group);
  }
  widen_client_.run(seen.client, seen.service, seen.at_ms);
}

void HistoryFile::write_change(const Observation& seen, const State& before) {
  const bool nothing_new =
      seen.action == Action::learned && seen.topic == before.topic && seen.group == before.group;
  if (!nothing_new) write_event(seen, before.topic, seen.from_group.value_or(before.group));
}

// The client keeps its present topic, if it has one.
void HistoryFile::write_unjudged(const Observation& seen, const std::optional<State>& before) {
  Observation event = seen;
  event.topic = before ? before->topic : std::string();
  write_event(event, event.topic, seen.from_group);
}

void HistoryFile::write_event(const Observation& seen, const std::optional<std::string>& old_topic,
                              const std::optional<std::string>& from_group) {
  insert_event_.start(seen.at_ms, seen.client, seen.service, seen.group, name_of(seen.action));
  bind_optional(insert_event_, 6, from_group);
  if (old_topic) bind_topic(insert_event_, 7, *old_topic);
  bind_topic(insert_event_, 8, seen.topic);
  insert_event_.finish();
}

std::optional<HistoryFile::State> HistoryFile::find(Statement& query) {
  std::optional<State> found;
  if (query.step()) {
    found = State{query.bytes(0), query.bytes(1), static_cast<std::uint64_t>(query.integer(2))};
  }
  query.reset();
  return found;
}

void HistoryFile::write(std::span<const LastSeen> last_seen) {
  Transaction transaction(connection_);
  for (const LastSeen& seen : last_seen) touch_.run(seen.client, seen.service, seen.at_ms);
  transaction.commit();
}

void HistoryFile::write(std::span<const ServiceName> services) {
  Transaction transaction(connection_);
  for (const auto& [service, name] : services) name_service_.run(service, name);
  transaction.commit();
}

std::size_t HistoryFile::expire(std::int64_t before_ms, std::size_t rows) {
  Transaction transaction(connection_);
  const auto limit = static_cast<std::int64_t>(rows);
  Statement(connection_,
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ?1 LIMIT ?2)")
      .run(before_ms, limit);
  const std::uint64_t events = connection_.changes();
  Statement(connection_,
            "DELETE FROM clients WHERE (client, service) IN"
            " (SELECT client, service FROM clients WHERE last_seen < ?1 LIMIT ?2)")
      .run(before_ms, limit);
  const std::uint64_t clients = connection_.changes();
  transaction.commit();
  clients_ -= clients;
  return events + clients;
}

void HistoryFile::read(const std::filesystem::path& path,
                       const std::function<void(std::span<const KnownClient>)>& use,
                       std::size_t batch) {
  Connection connection = open_to_read(path);
  if (connection.integer("PRAGMA user_version") != kSchemaVersion) {
    throw ForeignFile("the file has another version");
  }
  Statement newest_first(
      connection,
      "SELECT service, client, topic, group_name, last_seen, lesson_time FROM clients"
      " ORDER BY last_seen DESC");
  std::vector<KnownClient> clients;
  clients.reserve(batch);
  while (newest_first.step()) {
    clients.push_back({newest_first.bytes(0), newest_first.bytes(1), newest_first.bytes(2),
                       newest_first.bytes(3), newest_first.integer(4),
                       static_cast<std::uint64_t>(newest_first.integer(5))});
    if (clients.size() < batch) continue;
    use(clients);
    clients.clear();
  }
  if (!clients.empty()) use(clients);
}

std::filesystem::path set_aside(const std::filesystem::path& path) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> stamp{};
  std::strftime(stamp.data(), stamp.size(), ".damaged-%Y%m%dT%H%M%SZ", &utc);

  const std::string first_choice = path.string() + stamp.data();
  std::string name = first_choice;
  for (int attempt = 2; std::filesystem::exists(name); ++attempt) {
    name = first_choice + "-" + std::to_string(attempt);
  }
  for (const char* part : {"-wal", "-shm", ""}) {
    if (std::filesystem::exists(path.string() + part)) {
      std::filesystem::rename(path.string() + part, name + part);
    }
  }
  return name;
}

}  // namespace remora
