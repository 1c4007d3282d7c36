// SPDX-License-Identifier: Apache-2.0
#include "store/migration.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "store/schema.h"

namespace remora {
namespace {

// "Remo", PRAGMA application_id: distinguishes a history from other SQLite files.
constexpr std::int64_t kApplicationId = 0x52656d6f;

// No version of this program will be so high, so such a header is damaged.
constexpr std::int64_t kImplausibleVersion = 100;

constexpr const char* kDropViews = R"sql(
DROP VIEW IF EXISTS v_topics;
DROP VIEW IF EXISTS v_mispredicts;
DROP VIEW IF EXISTS v_changes;
DROP VIEW IF EXISTS v_new_clients;
DROP VIEW IF EXISTS v_operations;
DROP VIEW IF EXISTS v_events;
DROP VIEW IF EXISTS v_clients;
DROP INDEX IF EXISTS events_mispredicts;
DROP INDEX IF EXISTS operations_by_time;
)sql";

// The tables of version 3 are the present ones, but for those that later versions added.
constexpr int kSameTables = 3;
constexpr int kFirstHomes = 5;
constexpr int kFirstOperations = 6;

constexpr const char* kMoveOld = R"sql(
DROP INDEX IF EXISTS events_by_time;
DROP INDEX IF EXISTS events_by_client;
DROP INDEX IF EXISTS clients_by_last_seen;
ALTER TABLE clients RENAME TO old_clients;
ALTER TABLE events RENAME TO old_events;
)sql";

// In version 1 services were names, and the wall clock ordered the lessons.
constexpr const char* kPrepareVersion1 = R"sql(
ALTER TABLE old_clients ADD COLUMN lesson_time INTEGER;
UPDATE old_clients SET lesson_time = topic_seen * 16 / 1000;
)sql";

constexpr const char* kMoveVersion2 = R"sql(
ALTER TABLE state RENAME TO old_state;
ALTER TABLE services RENAME TO old_services;
)sql";

constexpr const char* kCopyVersion2 = R"sql(
INSERT INTO services SELECT service, name FROM old_services;
UPDATE state SET lesson_time = (SELECT lesson_time FROM old_state);
DROP TABLE old_services;
DROP TABLE old_state;
)sql";

// Ages start at the last row, which gets age 0; older rows get negative ones. A row written while
// the clock was ahead is not older than others.
constexpr const char* kCopyOld = R"sql(
CREATE TEMP TABLE present AS
SELECT min(unixepoch('now') * 1000, coalesce(max(last_seen), 0)) AS at FROM old_clients;
INSERT INTO clients (client, service, topic, group_name, first_seen, last_seen, topic_since,
                     lesson_time, seen_age)
SELECT client, coalesce(s.service, c.service), topic, group_name, first_seen, last_seen,
       topic_since, lesson_time, min(last_seen, present.at) - present.at
FROM temp.present AS present, old_clients AS c LEFT JOIN services AS s ON s.name = c.service;
INSERT INTO events (id, at, until, count, client, service, old_topic, new_topic, from_group,
                    to_group, action)
SELECT id, at, at, 1, client, coalesce(s.service, e.service), old_topic, new_topic, from_group,
       to_group, action
FROM old_events AS e LEFT JOIN services AS s ON s.name = e.service;
INSERT INTO hours (hour, at, first_event, bytes)
SELECT hour, at, min(first_event) OVER (ORDER BY hour DESC), 0
FROM (SELECT (min(e.at, present.at) - present.at) / 3600000 - 1 AS hour, min(e.at) AS at,
             min(id) AS first_event
      FROM temp.present AS present, events AS e GROUP BY hour);
UPDATE state SET lesson_time =
  max(lesson_time, coalesce((SELECT max(lesson_time) FROM clients), 0));
DROP TABLE old_events;
DROP TABLE old_clients;
DROP TABLE temp.present;
)sql";

void name_services(Connection& connection, std::span<const ServiceName> services) {
  Statement insert(connection, "INSERT OR REPLACE INTO services VALUES (?1, ?2)");
  for (const auto& [service, name] : services) insert.run(service, name);
}

// Whether the file has exactly the schema that this program creates.
bool has_present_schema(Connection& connection) {
  const std::array<std::string_view, 4> ours = {kTables, kHomes, kOperations, kViews};
  Statement statement(connection,
                      "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'");
  while (statement.step()) {
    const std::string sql{statement.bytes(0)};
    const bool is_ours = std::ranges::any_of(
        ours, [&](std::string_view part) { return part.find(sql) != part.npos; });
    if (!is_ours) return false;
  }
  return true;
}

// Version 0 is an empty file.
void make_tables(Connection& connection, std::int64_t version,
                 std::span<const ServiceName> services) {
  const bool is_old = version > 0;
  if (is_old) connection.execute(kMoveOld);
  if (version == 1) connection.execute(kPrepareVersion1);
  if (version == 2) connection.execute(kMoveVersion2);
  connection.execute(kTables);
  if (version == 2) connection.execute(kCopyVersion2);
  name_services(connection, services);
  if (is_old) connection.execute(kCopyOld);
}

}  // namespace

// The tables tell the version, even if the header is damaged.
void identify(Connection& connection) {
  if (connection.integer("SELECT count(*) FROM sqlite_schema") == 0) return;
  const auto tables = connection.integer(
      "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('clients', 'events')");
  const bool has_tables = tables == 2;
  const bool has_mark = connection.integer("PRAGMA application_id") == kApplicationId;
  const auto version = connection.integer("PRAGMA user_version");
  if (!has_tables && !has_mark) {
    throw ForeignFile("it is a database of another program: set another [store] path");
  }
  if (!has_tables) throw DatabaseError("reading the schema", SQLITE_CORRUPT, "tables are missing");
  const bool is_newer = version > kSchemaVersion;
  if (!has_mark || version < 1 || version >= kImplausibleVersion ||
      (is_newer && has_present_schema(connection))) {
    throw DatabaseError("reading the header", SQLITE_CORRUPT, "it does not fit the tables");
  }
  if (is_newer) {
    throw ForeignFile("it is of version " + std::to_string(version) +
                      ", and this program knows them up to " + std::to_string(kSchemaVersion) +
                      ": start the newer program, or move the file away");
  }
}

void migrate(Connection& connection, std::span<const ServiceName> services) {
  Transaction transaction(connection);
  const auto version = connection.integer("PRAGMA user_version");
  if (version < kSchemaVersion) {
    connection.execute(kDropViews);
    if (version < kSameTables) make_tables(connection, version, services);
    if (version < kFirstHomes) connection.execute(kHomes);
    if (version < kFirstOperations) connection.execute(kOperations);
    connection.execute(kViews);
    connection.execute("PRAGMA user_version = " + std::to_string(kSchemaVersion));
    connection.execute("PRAGMA application_id = " + std::to_string(kApplicationId));
  }
  transaction.commit();
}

}  // namespace remora
