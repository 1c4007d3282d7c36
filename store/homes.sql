-- SPDX-License-Identifier: Apache-2.0
-- Where routed clients with persistent sessions have their homes (docs/router.md): part of the
-- history's tables, from version 5 on.
CREATE TABLE homes (
  service    TEXT    NOT NULL,  -- address and port
  client_id  ANY     NOT NULL CHECK (typeof(client_id) IN ('text', 'blob')),  -- as a topic
  group_name TEXT    NOT NULL,
  last_seen  INTEGER NOT NULL,  -- when it connected last,
  seen_age   INTEGER NOT NULL,  -- and that by the history's own time
  PRIMARY KEY (service, client_id)
) STRICT, WITHOUT ROWID;
