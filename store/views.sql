-- SPDX-License-Identifier: Apache-2.0
-- The history's views, and what else follows from the tables (schema.sql). A new version drops them
-- and makes them anew.

CREATE INDEX events_mispredicts ON events (client, at)
  WHERE action NOT IN ('learned', 'routed', 'unjudged');

CREATE INDEX operations_by_time ON operations (at);

-- Views for people: times as UTC text, and again as at_ms to compare with;
-- topics as text, odd ones as x'hex'; services with their names.

CREATE VIEW v_clients AS
SELECT client, service, name AS service_name,
       iif(typeof(topic) = 'text', topic, 'x''' || hex(topic) || '''') AS topic,
       group_name,
       datetime(first_seen / 1000, 'unixepoch') AS first_seen,
       datetime(last_seen / 1000, 'unixepoch') AS last_seen,
       datetime(topic_since / 1000, 'unixepoch') AS topic_since,
       last_seen AS last_seen_ms
FROM clients LEFT JOIN services USING (service);

CREATE VIEW v_events AS
SELECT strftime('%Y-%m-%d %H:%M:%f', at / 1000.0, 'unixepoch') AS at,
       client, service, name AS service_name,
       CASE typeof(old_topic) WHEN 'blob' THEN 'x''' || hex(old_topic) || '''' ELSE old_topic END
         AS old_topic,
       CASE typeof(new_topic) WHEN 'blob' THEN 'x''' || hex(new_topic) || '''' ELSE new_topic END
         AS new_topic,
       from_group, to_group, action, count,
       strftime('%Y-%m-%d %H:%M:%f', until / 1000.0, 'unixepoch') AS until,
       at AS at_ms, until AS until_ms
FROM events LEFT JOIN services USING (service);

CREATE VIEW v_operations AS
SELECT strftime('%Y-%m-%d %H:%M:%f', at / 1000.0, 'unixepoch') AS at,
       what, uid, real, group_name, client, detail, error, at AS at_ms
FROM operations;

CREATE VIEW v_new_clients AS
SELECT at, client, service, service_name, new_topic AS topic, to_group AS group_name, action,
       at_ms
FROM v_events WHERE old_topic IS NULL AND new_topic IS NOT NULL;

CREATE VIEW v_changes AS
SELECT at, client, service, service_name, old_topic, new_topic, from_group, to_group, action,
       count, until, at_ms
FROM v_events WHERE old_topic <> new_topic;

CREATE VIEW v_mispredicts AS
SELECT at, client, service, service_name, new_topic AS topic, from_group, to_group, action,
       count, until, at_ms
FROM v_events WHERE action NOT IN ('learned', 'routed', 'unjudged');

-- Which topic from when till when: the present one of every client, and those
-- before it, each ended by a change. An empty `since` is older than what is kept.
CREATE VIEW v_topics AS
SELECT client, service, service_name, topic, topic_since AS since, last_seen AS until,
       last_seen_ms AS until_ms
FROM v_clients
UNION ALL
SELECT client, service, service_name, old_topic, since, until, until_ms
FROM (SELECT client, service, service_name, old_topic,
             datetime(lag(at_ms) OVER earlier / 1000, 'unixepoch') AS since,
             datetime(until_ms / 1000, 'unixepoch') AS until,
             until_ms
      FROM v_events
      WHERE old_topic IS NOT new_topic
      WINDOW earlier AS (PARTITION BY client, service ORDER BY at_ms))
WHERE old_topic IS NOT NULL;
