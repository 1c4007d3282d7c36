// SPDX-License-Identifier: Apache-2.0
#include "store/migration.h"

#include <string>

#include "store/schema.h"

namespace remora {
namespace {

// "Remo", PRAGMA application_id: tells a history from other SQLite files.
constexpr std::int64_t kApplicationId = 0x52656d6f;

// No version of this program will be so high: a header that says so is damaged.
constexpr std::int64_t kImplausibleVersion = 100;

// Version 1: services were names, and the order of lessons was that of the wall clock.
constexpr const char* kMoveVersion1 = R"sql(
DROP VIEW v_topics;
DROP VIEW v_mispredicts;
DROP VIEW v_changes;
DROP VIEW v_new_clients;
DROP VIEW v_events;
DROP VIEW v_clients;
DROP INDEX events_mispredicts;
DROP INDEX events_by_time;
DROP INDEX events_by_client;
DROP INDEX clients_by_last_seen;
ALTER TABLE clients RENAME TO clients_1;
ALTER TABLE events RENAME TO events_1;
)sql";

constexpr const char* kCopyVersion1 = R"sql(
INSERT INTO clients (client, service, topic, group_name, first_seen, last_seen, topic_since,
                     lesson_time)
SELECT client, coalesce(s.service, c.service), topic, group_name, first_seen, last_seen,
       topic_since, topic_seen * 16 / 1000
FROM clients_1 AS c LEFT JOIN services AS s ON s.name = c.service;
INSERT INTO events (id, at, client, service, old_topic, new_topic, from_group, to_group, action)
SELECT id, at, client, coalesce(s.service, e.service), old_topic, new_topic, from_group, to_group,
       action
FROM events_1 AS e LEFT JOIN services AS s ON s.name = e.service;
UPDATE state SET lesson_time = coalesce((SELECT max(lesson_time) FROM clients), 0);
DROP TABLE events_1;
DROP TABLE clients_1;
)sql";

void name_services(Connection& connection, std::span<const ServiceName> services) {
  Statement insert(connection, "INSERT OR REPLACE INTO services VALUES (?1, ?2)");
  for (const auto& [service, name] : services) insert.run(service, name);
}

}  // namespace

// The tables tell what the file is, even if its header is damaged.
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
  if (!has_mark || version < 1 || version >= kImplausibleVersion) {
    throw DatabaseError("reading the header", SQLITE_CORRUPT, "it does not fit the tables");
  }
  if (version > kSchemaVersion) {
    throw ForeignFile("it is of version " + std::to_string(version) +
                      ", and this program knows them up to " + std::to_string(kSchemaVersion) +
                      ": start the newer program, or move the file away");
  }
}

void migrate(Connection& connection, std::span<const ServiceName> services) {
  Transaction transaction(connection);
  const auto version = connection.integer("PRAGMA user_version");
  if (version < kSchemaVersion) {
    if (version == 1) connection.execute(kMoveVersion1);
    connection.execute(kSchema);
    name_services(connection, services);
    if (version == 1) connection.execute(kCopyVersion1);
    connection.execute("PRAGMA user_version = " + std::to_string(kSchemaVersion));
    connection.execute("PRAGMA application_id = " + std::to_string(kApplicationId));
  }
  transaction.commit();
}

}  // namespace remora
