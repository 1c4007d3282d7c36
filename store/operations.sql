-- SPDX-License-Identifier: Apache-2.0
-- What operators ordered, and which reals died and came back: part of the history's tables, from
-- version 6 on.
CREATE TABLE operations (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  age        INTEGER NOT NULL,  -- and that by the history's own time
  what       TEXT    NOT NULL,  -- docs/history.md; later versions add some
  uid        INTEGER,           -- the user who ordered it; NULL: remorad itself, or a signal
  real       TEXT,              -- its address,
  group_name TEXT,              -- its group; NULL: in all groups
  client     TEXT,              -- an address
  detail     TEXT,              -- in words
  error      TEXT               -- why it was refused; NULL: it was done
) STRICT;
