// SPDX-License-Identifier: Apache-2.0
#include "store/retention.h"

#include <algorithm>
#include <limits>

namespace remora {
namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kHoursPerDay = 24;
constexpr std::int64_t kNoHour = std::numeric_limits<std::int64_t>::min();

std::int64_t hour_of(std::int64_t age_ms) {
  return age_ms >= 0 ? age_ms / kHourMs : -((kHourMs - 1 - age_ms) / kHourMs);
}

std::int64_t read(Statement& statement) {
  statement.reset();
  const std::int64_t value = statement.step() ? statement.integer(0) : 0;
  statement.reset();
  return value;
}

}  // namespace

Retention::Retention(Connection& connection)
    : connection_(&connection),
      pages_(connection, "PRAGMA page_count"),
      free_pages_(connection, "PRAGMA freelist_count"),
      page_bytes_(connection.integer("PRAGMA page_size")),
      last_hour_(kNoHour) {}

void Retention::note_hour(std::int64_t age_ms, std::int64_t unix_ms) {
  const std::int64_t hour = hour_of(age_ms);
  if (hour == last_hour_) return;
  Statement(*connection_,
            "INSERT OR IGNORE INTO hours VALUES (?1, ?2,"
            " 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), ?3)")
      .run(hour, unix_ms, static_cast<std::int64_t>(bytes_in_use()));
  last_hour_ = hour;
}

void Retention::roll_back() {
  last_hour_ = kNoHour;
}

// The ids of events from hours that are too old are below the first id of the next hour.
Deleted Retention::expire(std::int64_t age_ms, int days, std::size_t rows) {
  const std::int64_t oldest_ms = age_ms - days * kHoursPerDay * kHourMs;
  const std::int64_t oldest_hour = hour_of(oldest_ms);
  Statement first(*connection_,
                  "SELECT first_event FROM hours WHERE hour >= ?1 ORDER BY hour LIMIT 1");
  const std::int64_t event = first.start(oldest_hour).step() ? first.integer(0) : 0;
  first.reset();
  Transaction transaction(*connection_);
  const Deleted deleted = delete_up_to(event, oldest_ms, rows);
  if (deleted.events == 0) {
    Statement(*connection_, "DELETE FROM hours WHERE hour < ?1").run(oldest_hour);
  }
  transaction.commit();
  return deleted;
}

Deleted Retention::delete_up_to(std::int64_t event, std::int64_t seen_age_ms, std::size_t rows) {
  const auto limit = static_cast<std::int64_t>(rows);
  Deleted deleted;
  Statement(*connection_,
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ?1 LIMIT ?2)")
      .run(event, limit);
  deleted.events = connection_->changes();
  Statement(*connection_,
            "DELETE FROM clients WHERE (client, service) IN"
            " (SELECT client, service FROM clients WHERE seen_age < ?1 LIMIT ?2)")
      .run(seen_age_ms, limit);
  deleted.clients = connection_->changes();
  Statement(*connection_,
            "DELETE FROM homes WHERE (service, client_id) IN"
            " (SELECT service, client_id FROM homes WHERE seen_age < ?1 LIMIT ?2)")
      .run(seen_age_ms, limit);
  Statement(*connection_,
            "DELETE FROM operations WHERE id IN"
            " (SELECT id FROM operations WHERE age < ?1 ORDER BY id LIMIT ?2)")
      .run(seen_age_ms, limit);
  return deleted;
}

Deleted Retention::trim(std::size_t rows) {
  const auto limit = static_cast<std::int64_t>(rows);
  Deleted deleted;
  Transaction transaction(*connection_);
  Statement(*connection_,
            "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?1)")
      .run(limit);
  deleted.events = connection_->changes();
  if (deleted.events == 0) {
    Statement(*connection_,
              "DELETE FROM clients WHERE (client, service) IN"
              " (SELECT client, service FROM clients ORDER BY seen_age LIMIT ?1)")
        .run(limit);
    deleted.clients = connection_->changes();
  }
  transaction.commit();
  return deleted;
}

std::uint64_t Retention::bytes_in_use() {
  const std::int64_t pages = read(pages_), free = read(free_pages_);
  if (free < 0 || free > pages) {
    throw DatabaseError("reading the header", SQLITE_CORRUPT, "the number of free pages cannot be");
  }
  return static_cast<std::uint64_t>((pages - free) * page_bytes_);
}

std::int64_t Retention::bytes_per_day(std::int64_t age_ms) {
  const std::int64_t now = hour_of(age_ms);
  Statement then(
      *connection_,
      "SELECT hour, bytes FROM hours WHERE hour >= ?1 AND bytes > 0 ORDER BY hour LIMIT 1");
  if (!then.start(now - kHoursPerDay).step() || then.integer(0) >= now) return 0;
  const std::int64_t grown = static_cast<std::int64_t>(bytes_in_use()) - then.integer(1);
  return grown * kHoursPerDay / (now - then.integer(0));
}

}  // namespace remora
