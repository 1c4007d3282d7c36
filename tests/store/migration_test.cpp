// SPDX-License-Identifier: Apache-2.0
// Files of earlier versions, in the form in which those wrote them.
#include "store/migration.h"

#include "store/history_file.h"
#include "tests/store/history_fixture.h"

namespace remora {
namespace {

using Rows = std::vector<std::string>;

// A file of version 1, with two clients of one service and one of another.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE clients (
  client TEXT NOT NULL, service TEXT NOT NULL,
  topic ANY NOT NULL CHECK (typeof(topic) IN ('text', 'blob')),
  group_name TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
  topic_since INTEGER NOT NULL, topic_seen INTEGER NOT NULL,
  PRIMARY KEY (client, service)
) STRICT, WITHOUT ROWID;
CREATE INDEX clients_by_last_seen ON clients (last_seen);
CREATE TABLE events (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, client TEXT NOT NULL, service TEXT NOT NULL,
  old_topic ANY CHECK (typeof(old_topic) IN ('text', 'blob', 'null')),
  new_topic ANY NOT NULL CHECK (typeof(new_topic) IN ('text', 'blob')),
  from_group TEXT, to_group TEXT NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('learned', 'reset', 'kept', 'dropped'))
) STRICT;
CREATE INDEX events_by_client ON events (client, service, at);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_mispredicts ON events (client, at) WHERE action <> 'learned';
CREATE VIEW v_clients AS SELECT client FROM clients;
CREATE VIEW v_events AS SELECT client FROM events;
CREATE VIEW v_new_clients AS SELECT client FROM v_events;
CREATE VIEW v_changes AS SELECT client FROM v_events;
CREATE VIEW v_mispredicts AS SELECT client FROM v_events;
CREATE VIEW v_topics AS SELECT client FROM v_clients;
PRAGMA user_version = 1;
PRAGMA application_id = 1382378863;
)sql";

// A file of version 2 with the same clients.
constexpr const char* kVersion2 = R"sql(
CREATE TABLE clients (
  client TEXT NOT NULL, service TEXT NOT NULL,
  topic ANY NOT NULL CHECK (typeof(topic) IN ('text', 'blob')),
  group_name TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
  topic_since INTEGER NOT NULL, lesson_time INTEGER NOT NULL,
  PRIMARY KEY (client, service)
) STRICT, WITHOUT ROWID;
CREATE INDEX clients_by_last_seen ON clients (last_seen);
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 1), lesson_time INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, 0);
CREATE TABLE services (service TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE events (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, client TEXT NOT NULL, service TEXT NOT NULL,
  old_topic ANY CHECK (typeof(old_topic) IN ('text', 'blob', 'null')),
  new_topic ANY NOT NULL CHECK (typeof(new_topic) IN ('text', 'blob')),
  from_group TEXT, to_group TEXT NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('learned', 'reset', 'kept', 'dropped', 'unjudged'))
) STRICT;
CREATE INDEX events_by_client ON events (client, service, at);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_mispredicts ON events (client, at)
  WHERE action IN ('reset', 'kept', 'dropped');
CREATE VIEW v_clients AS SELECT client FROM clients;
CREATE VIEW v_events AS SELECT client FROM events;
CREATE VIEW v_new_clients AS SELECT client FROM v_events;
CREATE VIEW v_changes AS SELECT client FROM v_events;
CREATE VIEW v_mispredicts AS SELECT client FROM v_events;
CREATE VIEW v_topics AS SELECT client FROM v_clients;
PRAGMA user_version = 2;
PRAGMA application_id = 1382378863;
INSERT INTO services VALUES ('10.1.50.200:1883', 'earlier'), ('10.1.50.201:1883', 'former');
UPDATE state SET lesson_time = 77;
)sql";

class MigrationTest : public HistoryTest {
 protected:
  MigrationTest() { options_.services = {{.service = kMqtt, .name = "mqtt"}}; }

  // Writes clients that published "a/t" an hour ago.
  void write_version1(const std::vector<std::pair<std::string, std::string>>& clients) const {
    Connection connection(options_.path, Access::read_write);
    connection.execute(kVersion1);
    const std::int64_t at = now_ms() - kHour;
    for (const auto& [client, service] : clients) {
      Statement(connection, "INSERT INTO clients VALUES (?1, ?2, 'a/t', 'g', ?3, ?3, ?3, ?3)")
          .run(client, service, at);
      Statement(connection,
                "INSERT INTO events VALUES (NULL, ?3, ?1, ?2, NULL, 'a/t', NULL, 'g',"
                " 'learned')")
          .run(client, service, at);
    }
  }

  // Writes a client that published "a/t" some days ago, then "a/u".
  void write_version2(std::int64_t days) const {
    Connection connection(options_.path, Access::read_write);
    connection.execute(kVersion2);
    const std::int64_t now = now_ms(), at = now - days * kDay;
    Statement(connection, "INSERT INTO clients VALUES ('10.1.1.7', ?1, 'a/u', 'g', ?2, ?3, ?3, 70)")
        .run(std::string_view(kMqtt), at, now);
    Statement event(connection,
                    "INSERT INTO events VALUES (NULL, ?2, '10.1.1.7', ?1, ?3, ?4, NULL, 'g', ?5)");
    for (const auto& [at_ms, old_topic, action] :
         {std::tuple(at, "", "learned"), std::tuple(now, "a/t", "unjudged")}) {
      event.start(std::string_view(kMqtt), at_ms);
      if (*old_topic) event.bind(3, std::string_view(old_topic));
      event.bind(4, std::string_view(*old_topic ? "a/u" : "a/t"));
      event.bind(5, std::string_view(action));
      event.finish();
    }
  }

  Rows schema() const { return rows("SELECT name, sql FROM sqlite_schema ORDER BY type, name"); }
};

TEST_F(MigrationTest, ServicesOfVersion1AreKnownByAddressAndPortAfterwards) {
  write_version1({{"10.1.1.7", "mqtt"}, {"10.1.1.8", "mqtt"}, {"10.1.1.7", "former"}});

  open();

  EXPECT_TRUE(history_->status().ok) << history_->status().error;
  EXPECT_EQ(rows("SELECT client, service FROM clients ORDER BY service, client"),
            (Rows{"10.1.1.7|10.1.50.200:1883", "10.1.1.8|10.1.50.200:1883", "10.1.1.7|former"}));
  EXPECT_EQ(rows("SELECT client, service, service_name FROM v_events ORDER BY service, client"),
            (Rows{"10.1.1.7|10.1.50.200:1883|mqtt", "10.1.1.8|10.1.50.200:1883|mqtt",
                  "10.1.1.7|former|-"}));
}

TEST_F(MigrationTest, AClientOfVersion1IsTheSameClient) {
  write_version1({{"10.1.1.7", "mqtt"}});
  open();

  history_->record(learned("10.1.1.7", "a/u", "g", now_ms()));
  history_->flush();

  EXPECT_EQ(value("SELECT topic FROM clients"), "a/u");
  EXPECT_EQ(rows("SELECT old_topic, new_topic FROM v_changes"), Rows{"a/t|a/u"});
}

TEST_F(MigrationTest, LessonsOfVersion1AreAsLateAsTheirReports) {
  write_version1({{"10.1.1.7", "mqtt"}});

  open();

  EXPECT_EQ(value("SELECT lesson_time - last_seen * 16 / 1000 FROM clients"), "0");
  EXPECT_EQ(std::to_string(history_->newest_lesson()), value("SELECT lesson_time FROM clients"));
}

TEST_F(MigrationTest, Version2KeepsItsRows) {
  write_version2(1);

  open();

  EXPECT_TRUE(history_->status().ok) << history_->status().error;
  EXPECT_EQ(rows("SELECT client, service, topic, lesson_time FROM clients"),
            Rows{"10.1.1.7|10.1.50.200:1883|a/u|70"});
  EXPECT_EQ(rows("SELECT id, old_topic, new_topic, action, count, until = at FROM events"),
            (Rows{"1|-|a/t|learned|1|1", "2|a/t|a/u|unjudged|1|1"}));
  EXPECT_EQ(rows("SELECT name FROM services ORDER BY name"), (Rows{"former", "mqtt"}));
  EXPECT_EQ(history_->newest_lesson(), 77U);
}

TEST_F(MigrationTest, RowsOfVersion2KeepTheirAges) {
  write_version2(8);
  options_.retention_days = 7;

  open();
  history_->flush();

  EXPECT_EQ(rows("SELECT action FROM events"), Rows{"unjudged"});
  EXPECT_EQ(value("SELECT count(*) FROM clients"), "1");
}

// The views of version 3 called each routed message a mispredict.
TEST_F(MigrationTest, Version3GetsThePresentViews) {
  open();
  history_->record(learned("10.1.1.7", "a/t", "g", now_ms()));
  close();
  Connection(options_.path, Access::read_write)
      .execute(
          "DROP VIEW v_topics; DROP VIEW v_mispredicts; DROP INDEX events_mispredicts;"
          "CREATE INDEX events_mispredicts ON events (client, at) WHERE action <> 'learned';"
          "CREATE VIEW v_mispredicts AS SELECT * FROM v_events WHERE action <> 'learned';"
          "DROP TABLE homes; DROP VIEW v_operations; DROP TABLE operations; UPDATE events SET "
          "action = 'routed'; PRAGMA user_version = 3");

  open();

  EXPECT_TRUE(history_->status().ok) << history_->status().error;
  EXPECT_EQ(rows("SELECT client, topic FROM clients"), Rows{"10.1.1.7|a/t"});
  EXPECT_EQ(value("SELECT action FROM v_events"), "routed");
  EXPECT_EQ(value("SELECT count(*) FROM v_mispredicts"), "0");
}

TEST_F(MigrationTest, Version4GetsATableOfHomes) {
  open();
  const Rows fresh = schema();
  close();
  Connection(options_.path, Access::read_write)
      .execute(
          "DROP TABLE homes; DROP VIEW v_operations; DROP TABLE operations;"
          "PRAGMA user_version = 4");

  open();

  EXPECT_TRUE(history_->status().ok) << history_->status().error;
  EXPECT_EQ(schema(), fresh);
}

TEST_F(MigrationTest, Version5GetsATableOfOperationsAndKeepsItsHomes) {
  open();
  const Rows fresh = schema();
  history_->remember({.service = kMqtt, .client_id = "a", .group = "g", .at_ms = now_ms()});
  close();
  Connection(options_.path, Access::read_write)
      .execute("DROP VIEW v_operations; DROP TABLE operations; PRAGMA user_version = 5");

  open();

  EXPECT_TRUE(history_->status().ok) << history_->status().error;
  EXPECT_EQ(schema(), fresh);
  EXPECT_EQ(rows("SELECT client_id FROM homes"), Rows{"a"});
}

TEST_F(MigrationTest, AMigratedFileHasTheSchemaOfANewOne) {
  open();
  const Rows fresh = schema();
  close();
  std::filesystem::remove(options_.path);
  for (const int version : {1, 2}) {
    version == 1 ? write_version1({{"10.1.1.7", "mqtt"}}) : write_version2(1);

    open();

    EXPECT_EQ(schema(), fresh);
    EXPECT_EQ(value("PRAGMA user_version"), std::to_string(kSchemaVersion));
    close();
    std::filesystem::remove(options_.path);
  }
}

TEST_F(MigrationTest, AMigrationThatFailsLeavesTheFileAsItWas) {
  write_version1({{"10.1.1.7", "mqtt"}});
  Connection(options_.path, Access::read_write).execute("CREATE TABLE hours (n)");

  const HistoryClocks clocks = system_clocks();
  EXPECT_THROW(HistoryFile({.path = options_.path, .services = options_.services}, clocks),
               DatabaseError);

  EXPECT_EQ(value("PRAGMA user_version"), "1");
  EXPECT_EQ(value("SELECT client, service FROM clients"), "10.1.1.7|mqtt");
}

}  // namespace
}  // namespace remora
