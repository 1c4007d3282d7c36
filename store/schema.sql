-- SPDX-License-Identifier: Apache-2.0
-- The history's tables, version 6 (PRAGMA user_version); views.sql has its views. docs/history.md
-- explains it to the people who read it, and store/migration.cpp brings older
-- files to it.
--
-- Times are Unix milliseconds, UTC. A topic is TEXT when it is valid UTF-8
-- without control characters, else BLOB: the same bytes either way, and no
-- terminal is fed with what a client made up.

-- The present state of each client.
CREATE TABLE clients (
  client      TEXT    NOT NULL,  -- its address
  service     TEXT    NOT NULL,  -- address and port
  topic       ANY     NOT NULL CHECK (typeof(topic) IN ('text', 'blob')),
  group_name  TEXT    NOT NULL,  -- where that topic belonged when it was reported
  first_seen  INTEGER NOT NULL,
  last_seen   INTEGER NOT NULL,
  topic_since INTEGER NOT NULL,  -- first report of the present topic
  lesson_time INTEGER NOT NULL,  -- of the present topic; an older lesson changes nothing
  seen_age    INTEGER NOT NULL,  -- last_seen by the history's own time: milliseconds of operation
  PRIMARY KEY (client, service)
) STRICT, WITHOUT ROWID;

CREATE INDEX clients_by_age ON clients (seen_age);

-- One row about the history as a whole.
CREATE TABLE state (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  lesson_time   INTEGER NOT NULL,  -- the newest that was ever written
  age_ms        INTEGER NOT NULL,  -- how long the history has been in operation,
  boot          TEXT    NOT NULL,  -- as of this boot of the host,
  uptime_ms     INTEGER NOT NULL,  -- so long after it,
  at            INTEGER NOT NULL,  -- and the wall clock then
  ring          TEXT    NOT NULL,  -- from which reports were read last, and the position up to
  ring_position INTEGER NOT NULL   -- which they are in this file
) STRICT;

INSERT INTO state VALUES (1, 0, 0, '', 0, 0, '', 0);

-- The hours of its operation, by which events grow old.
CREATE TABLE hours (
  hour        INTEGER PRIMARY KEY,
  at          INTEGER NOT NULL,  -- the wall clock at its beginning
  first_event INTEGER NOT NULL,  -- no event of this hour has a lower id
  bytes       INTEGER NOT NULL   -- of the file that were in use
) STRICT;

-- What the configuration calls the services: a label, which may change.
CREATE TABLE services (
  service TEXT NOT NULL PRIMARY KEY,  -- address and port
  name    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- New clients, changed topics, mispredicts, and connections that are not judged. An id is never
-- used again: `hours` refers to them.
CREATE TABLE events (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,   -- the first time,
  until      INTEGER NOT NULL,   -- the last one,
  count      INTEGER NOT NULL,   -- and how many times it happened from then till then
  client     TEXT    NOT NULL,
  service    TEXT    NOT NULL,
  old_topic  ANY     CHECK (typeof(old_topic) IN ('text', 'blob', 'null')),  -- NULL: new client
  -- NULL, as the groups: a summary of those events that got no row of their own.
  new_topic  ANY     CHECK (typeof(new_topic) IN ('text', 'blob', 'null')),
  from_group TEXT,               -- of the connection; without a mispredict: of the old topic
  to_group   TEXT,               -- of the new topic
  action     TEXT    NOT NULL    -- docs/history.md; later versions add some
) STRICT;

CREATE INDEX events_by_client ON events (client, service, at);
CREATE INDEX events_by_time ON events (at);
