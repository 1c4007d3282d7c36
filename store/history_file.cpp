// SPDX-License-Identifier: Apache-2.0
#include "store/history_file.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "store/migration.h"
#include "store/opening.h"

namespace remora {
namespace {

// SQLite's own default: 4 MiB.
constexpr int kCheckpointPages = 1000;

AgeClock::Kept kept_age(Connection& connection) {
  Statement state(connection, "SELECT age_ms, boot, uptime_ms, at FROM state");
  if (!state.step()) return {};
  return {.age_ms = state.integer(0),
          .boot = state.bytes(1),
          .uptime_ms = state.integer(2),
          .unix_ms = state.integer(3)};
}

std::uint64_t count_of(Connection& connection, const char* sql) {
  return static_cast<std::uint64_t>(connection.integer(sql));
}

// The age of the first client after the `count` last seen; the lowest age if there are no more.
std::int64_t age_behind(Connection& connection, std::uint64_t count) {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::min();
  if (count > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return kNone;
  Statement behind(connection,
                   "SELECT seen_age FROM clients ORDER BY seen_age DESC LIMIT 1 OFFSET ?1");
  return behind.start(static_cast<std::int64_t>(count)).step() ? behind.integer(0) : kNone;
}

void hand_over(Statement& rows, const std::function<void(std::span<const KnownClient>)>& use,
               std::size_t batch) {
  std::vector<KnownClient> clients;
  clients.reserve(batch);
  while (rows.step()) {
    clients.push_back({.service = rows.bytes(0),
                       .client = rows.bytes(1),
                       .topic = rows.bytes(2),
                       .group = rows.bytes(3),
                       .last_seen_ms = rows.integer(4),
                       .lesson_time = static_cast<std::uint64_t>(rows.integer(5))});
    if (clients.size() < batch) continue;
    use(clients);
    clients.clear();
  }
  if (!clients.empty()) use(clients);
}

}  // namespace

// The age of a row, not the wall clock, decides which of two times is later.
HistoryFile::HistoryFile(const FileOptions& options, const HistoryClocks& clocks)
    : path_(options.path),
      connection_(open_to_write(options.path, options.check_limit, options.services)),
      stamp_(stamp_of(path_)),
      data_version_(connection_.data_version()),
      clocks_(clocks),
      age_(kept_age(connection_), clocks),
      retention_(connection_),
      events_(connection_, options.events_per_minute),
      clients_(count_of(connection_, "SELECT count(*) FROM clients")),
      newest_lesson_(count_of(connection_, "SELECT lesson_time FROM state")),
      ring_(clocks.boot + '/' + options.ring),
      find_(
          connection_,
          "SELECT topic, group_name, lesson_time FROM clients WHERE client = ?1 AND service = ?2"),
      insert_client_(connection_,
                     "INSERT INTO clients (client, service, group_name, first_seen, last_seen,"
                     " topic_since, lesson_time, seen_age, topic)"
                     " VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5, ?6, ?7)"),
      update_client_(
          connection_,
          "UPDATE clients SET group_name = ?3,"
          " last_seen = iif(seen_age <= ?6, ?4, last_seen), seen_age = max(seen_age, ?6),"
          " topic_since = iif(topic = ?7, topic_since, ?4), topic = ?7, lesson_time = ?5"
          " WHERE client = ?1 AND service = ?2"),
      widen_client_(connection_,
                    "UPDATE clients SET first_seen = min(first_seen, ?3)"
                    " WHERE client = ?1 AND service = ?2"),
      touch_(connection_,
             "UPDATE clients SET seen_age = ?4, last_seen = ?3"
             " WHERE client = ?1 AND service = ?2 AND seen_age < ?4"),
      set_home_(connection_,
                "INSERT INTO homes (service, group_name, last_seen, seen_age, client_id)"
                " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET group_name = ?2,"
                " last_seen = ?3, seen_age = ?4"),
      insert_operation_(connection_,
                        "INSERT INTO operations (at, age, what, uid, real, group_name, client,"
                        " detail, error) VALUES (?1, ?2, ?3, ?4, nullif(?5, ''), nullif(?6, ''),"
                        " nullif(?7, ''), nullif(?8, ''), nullif(?9, ''))"),
      set_state_(connection_,
                 "UPDATE state SET lesson_time = ?1, age_ms = ?2, boot = ?3, uptime_ms = ?4,"
                 " at = ?5, ring = ?6, ring_position = ?7"),
      name_service_(connection_,
                    "INSERT INTO services (service, name) VALUES (?1, ?2)"
                    " ON CONFLICT DO UPDATE SET name = ?2 WHERE name <> ?2") {
  Statement read(connection_, "SELECT ring_position FROM state WHERE ring = ?1");
  if (read.start(ring_).step()) ring_position_ = static_cast<std::uint64_t>(read.integer(0));
}

template <class Work>
void HistoryFile::in_transaction(const Work& work) {
  const std::uint64_t newest_before = newest_lesson_, position_before = ring_position_;
  try {
    Transaction transaction(connection_);
    retention_.note_hour(age_.now_ms(), clocks_.unix_ms());
    work();
    write_state();
    transaction.commit();
  } catch (...) {
    newest_lesson_ = newest_before;
    ring_position_ = position_before;
    events_.roll_back();
    retention_.roll_back();
    throw;
  }
  checkpoint_if_long();
}

bool HistoryFile::was_overwritten() {
  const auto stamp = stamp_of(path_);
  if (stamp == stamp_) return false;
  // A program that changes rows may have checkpointed as well.
  const std::int64_t data_version = connection_.data_version();
  if (data_version == data_version_) return true;
  data_version_ = data_version;
  stamp_ = stamp;
  return false;
}

bool HistoryFile::empty_log() {
  if (connection_.was_moved() || was_overwritten()) return false;
  const bool is_empty = connection_.checkpoint();
  stamp_ = stamp_of(path_);
  return is_empty;
}

void HistoryFile::checkpoint_if_long() {
  if (connection_.log_pages() < kCheckpointPages) return;
  try {
    empty_log();
  } catch (const DatabaseError&) {
    // Committed rows are in the -wal. The next commit tries again, or fails itself.
    stamp_ = stamp_of(path_);
  }
}

void HistoryFile::write_state() {
  const AgeClock::Kept now = age_.keep();
  set_state_.run(static_cast<std::int64_t>(newest_lesson_), now.age_ms, now.boot, now.uptime_ms,
                 now.unix_ms, ring_, static_cast<std::int64_t>(ring_position_));
}

void HistoryFile::write(std::span<const Observation> observations) {
  std::uint64_t added = 0;
  in_transaction([&] {
    for (const Observation& seen : observations) {
      if (seen.position != 0 && seen.position <= ring_position_) continue;
      ring_position_ = std::max(ring_position_, seen.position);
      added += write(seen) ? 1 : 0;
      newest_lesson_ = std::max(newest_lesson_, seen.lesson_time);
    }
  });
  clients_ += added;
}

// Returns whether the client is new.
bool HistoryFile::write(const Observation& seen) {
  const auto before = find(seen);
  if (seen.action == Action::unjudged) {
    write_unjudged(seen, before);
    return false;
  }
  if (before && seen.lesson_time < before->lesson_time) {
    write_late(seen);
    return false;
  }
  if (before) {
    write_change(seen, before->topic);
  } else {
    write_event(seen, std::nullopt, seen.from_group);
  }
  Statement& row = before ? update_client_ : insert_client_;
  row.start(seen.client, seen.service, seen.group, seen.at_ms,
            static_cast<std::int64_t>(seen.lesson_time), age_.age_at(seen.uptime_ms));
  bind_topic(row, 7, seen.topic);
  row.finish();
  return !before;
}

// Writes an observation that is older than one already written: as an event of its time, without
// changing the client's present state.
void HistoryFile::write_late(const Observation& seen) {
  if (const auto before = events_.before(seen.client, seen.service, seen.at_ms)) {
    write_change(seen, *before);
  } else {
    write_event(seen, std::nullopt, seen.from_group);
  }
  widen_client_.run(seen.client, seen.service, seen.at_ms);
}

void HistoryFile::write_change(const Observation& seen, const TopicState& before) {
  const bool nothing_new =
      seen.action == Action::learned && seen.topic == before.topic && seen.group == before.group;
  if (nothing_new) return;
  write_event(seen, before.topic, seen.from_group.value_or(before.group));
}

// The client keeps its present topic, if any.
void HistoryFile::write_unjudged(const Observation& seen, const std::optional<State>& before) {
  Observation event = seen;
  event.topic = before ? before->topic.topic : std::string();
  write_event(event, event.topic, seen.from_group);
}

void HistoryFile::write_event(const Observation& seen, const std::optional<std::string>& old_topic,
                              const std::optional<std::string>& from_group) {
  events_.write(seen, old_topic, from_group, age_.now_ms() / 1000);
}

std::optional<HistoryFile::State> HistoryFile::find(const Observation& seen) {
  std::optional<State> found;
  if (find_.start(seen.client, seen.service).step()) {
    found = State{{find_.bytes(0), find_.bytes(1)}, static_cast<std::uint64_t>(find_.integer(2))};
  }
  find_.reset();
  return found;
}

void HistoryFile::write(std::span<const LastSeen> last_seen) {
  in_transaction([&] {
    for (const LastSeen& seen : last_seen) {
      touch_.run(seen.client, seen.service, seen.at_ms, age_.age_at(seen.uptime_ms));
    }
  });
}

void HistoryFile::write(std::span<const Home> homes) {
  in_transaction([&] {
    for (const Home& home : homes) {
      set_home_.start(home.service, home.group, home.at_ms, age_.age_at(home.uptime_ms));
      bind_topic(set_home_, 5, home.client_id);
      set_home_.finish();
    }
  });
}

void HistoryFile::write(std::span<const Operation> operations) {
  in_transaction([&] {
    for (const Operation& done : operations) {
      insert_operation_.start(done.at_ms, age_.age_at(done.uptime_ms), done.what, Null{}, done.real,
                              done.group, done.client, done.detail, done.error);
      if (done.uid) insert_operation_.bind(4, std::int64_t{*done.uid});
      insert_operation_.finish();
    }
    Statement(connection_, "DELETE FROM operations WHERE id <= ?1")
        .run(connection_.last_id() - kMostOperations);
  });
}

void HistoryFile::write(std::span<const ServiceName> services) {
  in_transaction([&] {
    for (const auto& [service, name] : services) name_service_.run(service, name);
  });
}

std::int64_t HistoryFile::clock_jump_ms() {
  const std::int64_t jump_ms = age_.jump_ms();
  if (jump_ms != 0) in_transaction([] {});  // stores the clock's new state
  return jump_ms;
}

Deleted HistoryFile::expire(int days, std::size_t rows) {
  in_transaction([] {});  // stores the hour and the age
  const Deleted deleted = retention_.expire(age_.now_ms(), days, rows);
  clients_ -= deleted.clients;
  return deleted;
}

Deleted HistoryFile::trim(std::uint64_t most_bytes, std::size_t rows) {
  const std::uint64_t bytes = retention_.bytes_in_use();
  is_trimming_ = bytes > most_bytes || (is_trimming_ && bytes > most_bytes / 10 * 9);
  if (!is_trimming_) return {};
  const Deleted deleted = retention_.trim(rows);
  clients_ -= deleted.clients;
  return deleted;
}

namespace {

Connection open_present(const std::filesystem::path& path) {
  Connection connection = open_to_read(path);
  if (connection.integer("PRAGMA user_version") != kSchemaVersion) {
    throw ForeignFile("the file has another version");
  }
  return connection;
}

}  // namespace

std::vector<Home> HistoryFile::read_homes(const std::filesystem::path& path,
                                          const std::string& service, std::size_t most) {
  Connection connection = open_present(path);
  Statement rows(connection,
                 "SELECT client_id, group_name, last_seen FROM homes WHERE service = ?1"
                 " ORDER BY seen_age DESC LIMIT ?2");
  rows.start(service, static_cast<std::int64_t>(most));
  std::vector<Home> homes;
  while (rows.step()) {
    homes.push_back({.service = service,
                     .client_id = rows.bytes(0),
                     .group = rows.bytes(1),
                     .at_ms = rows.integer(2)});
  }
  return homes;
}

void HistoryFile::read(const std::filesystem::path& path,
                       const std::function<void(std::span<const KnownClient>)>& use,
                       std::size_t batch, std::uint64_t first) {
  Connection connection = open_present(path);
  connection.execute("BEGIN");  // all that follows sees the same state
  const std::int64_t in_order = age_behind(connection, kInOrder);
  const std::int64_t of_first = std::min(in_order, age_behind(connection, first));
  const std::string columns =
      "SELECT service, client, topic, group_name, last_seen, lesson_time FROM clients ";
  Statement newest(connection, columns + "WHERE seen_age > ?1 ORDER BY seen_age DESC");
  hand_over(newest.start(in_order), use, batch);
  // `+` keeps SQLite from the index, through which each row costs 20 times as much.
  Statement others(connection, columns + "WHERE +seen_age <= ?1 AND +seen_age > ?2");
  hand_over(others.start(in_order, of_first), use, batch);
  Statement rest(connection, columns + "WHERE +seen_age <= ?1");
  hand_over(rest.start(of_first), use, batch);
}

namespace {

// A name from `path`, `kind` and the time that no file has.
std::string free_name(const std::filesystem::path& path, const std::string& kind) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> stamp{};
  std::strftime(stamp.data(), stamp.size(), "-%Y%m%dT%H%M%SZ", &utc);

  const std::string first_choice = path.string() + kind + stamp.data();
  std::string name = first_choice;
  const auto is_taken = [&] {
    return std::filesystem::exists(name) || std::filesystem::exists(name + "-wal");
  };
  for (int attempt = 2; is_taken(); ++attempt) {
    name = first_choice + "-" + std::to_string(attempt);
  }
  return name;
}

}  // namespace

std::filesystem::path set_aside(const std::filesystem::path& path) {
  const std::string name = free_name(path, ".damaged");
  for (const char* part : {"-wal", "-shm", ""}) {
    if (std::filesystem::exists(path.string() + part)) {
      std::filesystem::rename(path.string() + part, name + part);
    }
  }
  return name;
}

std::filesystem::path set_log_aside(const std::filesystem::path& path) {
  const std::string name = free_name(path, ".replaced") + "-wal";
  std::filesystem::rename(path.string() + "-wal", name);
  return name;
}

}  // namespace remora
