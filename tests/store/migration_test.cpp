// SPDX-License-Identifier: Apache-2.0
// Files of earlier versions, as these wrote them.
#include "store/migration.h"

#include "store/history_file.h"
#include "tests/store/history_fixture.h"

namespace remora {
namespace {

using Rows = std::vector<std::string>;

// Version 1 as it stood, with two clients of a service and one of another.
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

class MigrationTest : public HistoryTest {
 protected:
  MigrationTest() { options_.services = {{.service = kMqtt, .name = "mqtt"}}; }

  // Of a client that published "a/t" an hour ago.
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

TEST_F(MigrationTest, AMigratedFileHasTheSchemaOfANewOne) {
  open();
  const Rows fresh = schema();
  close();
  std::filesystem::remove(options_.path);
  write_version1({{"10.1.1.7", "mqtt"}});

  open();

  EXPECT_EQ(schema(), fresh);
  EXPECT_EQ(value("PRAGMA user_version"), std::to_string(kSchemaVersion));
}

TEST_F(MigrationTest, AMigrationThatFailsLeavesTheFileAsItWas) {
  write_version1({{"10.1.1.7", "mqtt"}});
  Connection(options_.path, Access::read_write).execute("DROP VIEW v_topics");

  EXPECT_THROW(HistoryFile(options_.path, 1s, options_.services), DatabaseError);

  EXPECT_EQ(value("PRAGMA user_version"), "1");
  EXPECT_EQ(value("SELECT client, service FROM clients"), "10.1.1.7|mqtt");
}

}  // namespace
}  // namespace remora
