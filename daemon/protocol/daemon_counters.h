// SPDX-License-Identifier: Apache-2.0
//
// Every counter of the daemon, once: X(name, unit, class, value, meaning).
//
// `remoractl status` and its --json, the doctor and docs/counters.md follow this list. To add a
// counter, add a line here and run scripts/write-reference. `value` is an expression on the
// StatusSources `s` of daemon/control/status.cpp. bpf/counters.h has the kernel's counters, and
// explains the classes.
#pragma once

// clang-format off
#define REMORA_DAEMON_COUNTERS(X) \
  X(records, "records", Normal, s.recorder.records(), "records of the ring that were read") \
  X(malformed_records, "records", Alarm, s.events.malformed(), "records of the ring that made no sense and were skipped: a bug; report it") \
  X(unjudged_topics, "topics", Normal, s.recorder.unjudged().topics, "topics too long or too deep for the kernel, matched by the daemon") \
  X(unjudged_invalid, "topics", Look, s.recorder.unjudged().invalid, "such topics that are no valid topic names") \
  X(unjudged_incomplete, "topics", Look, s.recorder.pieces().given_up(), "such topics given up, because pieces were missing") \
  X(unjudged_unrecorded, "topics", Look, s.recorder.unjudged().unrecorded, "such topics without a row in the history, because too many rows waited for the disk") \
  X(resets_sent, "packets", Normal, s.ender.counts().resets_sent, "RSTs sent to clients") \
  X(farewells, "connections", Normal, s.ender.counts().farewells, "evacuated clients that got a DISCONNECT") \
  X(evacuation_asked, "connections", Normal, s.evacuation.counts().asked, "connections that were asked to leave their real") \
  X(evacuation_hurried, "connections", Look, s.evacuation.counts().hurried, "evacuated connections that were no longer allowed to wait for their messages of QoS 2: one may be lost") \
  X(evacuation_forced, "connections", Look, s.evacuation.counts().forced, "evacuated connections that had to be ended by force") \
  X(severed, "connections", Look, s.severance.severed(), "connections of dead reals that were ended") \
  X(routed, "connections", Normal, s.routing.counts().accepted, "connections that the router has accepted") \
  X(routed_turned_away, "connections", Look, s.routing.counts().turned_away, "connections that the router has closed at once: they were too many") \
  X(clean_ends, "sessions", Normal, s.ender.counts().clean_ends, "sessions ended at the wrong broker with a DISCONNECT, which the broker had 30 ms or more to read") \
  X(reset_ends, "sessions", Look, s.ender.counts().reset_ends, "sessions ended at the wrong broker by a RST alone: the Will was published") \
  X(good_bytes, "bytes", Normal, s.ender.counts().good_bytes, "bytes delivered ahead of mispredicted PUBLISH packets") \
  X(send_failures, "packets", Alarm, s.ender.counts().send_failures, "packets of the daemon that could not be sent: a firewall, or no route; see the log") \
  X(flows_removed, "connections", Normal, s.sweeper.expired(), "connections forgotten after their end, or after a silence beyond their keepalive or idle_hours") \
  X(failed_callbacks, "errors", Alarm, failed_callbacks.load(), "steps that failed and were given up; see the log")
// clang-format on
