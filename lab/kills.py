# SPDX-License-Identifier: Apache-2.0
"""Kills remorad at random moments under load, and counts what is lost, moved or written twice.

Each message of the load has another topic than the one before, so that each is an event in the
history. The topics have no route, so no connection is on a wrong group and none must be moved.
"""

import contextlib
import dataclasses
import sqlite3
import threading
import time

from lab import mqtt
from lab.session import Session
from lab.waiting import PATIENCE_S, wait_until

CONNECTIONS = 10
TOPICS = 7  # of each connection, one after the other
WITHIN_S = 1  # after a start, all clients are in the history


@dataclasses.dataclass
class Outcome:
    """The findings; all but the first two should be 0."""

    kills: int = 0
    messages: int = 0
    connections_lost: int = 0  # ended while the load ran: their flow was moved or dropped
    reports_lost: int = 0  # counted by the kernel: no room in the ring
    rows_lost: int = 0  # committed before a kill and missing after it
    events_missing: int = 0  # messages that are not in the history
    events_twice: int = 0
    clients_late: int = 0  # published before the last start, and not in the history 1 s after it

    def problems(self):
        fields = dataclasses.fields(self)[2:]
        return {f.name: getattr(self, f.name) for f in fields if getattr(self, f.name)}


class Load(threading.Thread):
    """Publishes on a few connections of client0, each from an address of its own."""

    def __init__(self, lab, addresses, per_second):
        super().__init__()
        self._interval = len(addresses) / per_second  # between two messages of a connection
        self._sessions = {
            address: Session(lab, "client0", f"load-{address}", source=address)
            for address in addresses
        }
        self.sent = dict.fromkeys(addresses, 0)
        self.lost = 0
        self._is_over = threading.Event()

    def run(self):
        begun, round_number = time.monotonic(), 0
        while not self._is_over.wait(max(0.0, begun + round_number * self._interval
                                         - time.monotonic())):
            for address, session in list(self._sessions.items()):
                self._publish(address, session)
            round_number += 1

    def _publish(self, address, session):
        try:
            session.publish(f"load/{self.sent[address] % TOPICS}", b"x")
            self.sent[address] += 1
        except OSError:
            self.lost += 1
            del self._sessions[address]

    def end(self):
        self._is_over.set()
        self.join()
        for session in self._sessions.values():
            with contextlib.suppress(OSError):
                session.disconnect()
            session.close()


class Kills:
    """`random`: a random.Random. `on_kill(number)` is called after each."""

    def __init__(self, lab, random, on_kill=lambda number: None):
        self._lab = lab
        self._daemon = lab.daemon
        self._random = random
        self._on_kill = on_kill
        self._outcome = Outcome()

    def run(self, kills, per_second):
        addresses = self._lab.clients.add_addresses("client0", CONNECTIONS + kills)
        load = Load(self._lab, addresses[:CONNECTIONS], per_second)
        published = set(addresses[:CONNECTIONS])
        load.start()
        try:
            for number, address in enumerate(addresses[CONNECTIONS:], 1):
                self._publish_once(address)
                published.add(address)
                time.sleep(self._random.uniform(0, 0.5))
                self._kill_and_start()
                self._on_kill(number)
            self._expect_clients(published)
        finally:
            load.end()
        self._outcome.kills = kills
        self._outcome.connections_lost = load.lost
        self._count_events(load.sent)
        self._outcome.reports_lost = self._daemon.counters()["EVENT_LOST"]
        return self._outcome

    def _publish_once(self, address):
        """A client that is new to Remora; it may be followed at once by the kill."""
        with Session(self._lab, "client0", f"once-{address}", source=address) as session:
            session.publish("once", b"x", qos=1, packet_id=1)
            session.read(mqtt.PUBACK)
            session.disconnect()

    def _kill_and_start(self):
        self._daemon.kill()
        before = self._rows()
        time.sleep(self._random.uniform(0, 0.3))
        self._daemon.start()
        after = self._rows()
        self._outcome.rows_lost += sum(
            1 for row, count in before.items() if after.get(row, 0) < count)

    def _expect_clients(self, published):
        begun = time.monotonic()
        missing = published
        while missing and time.monotonic() - begun < WITHIN_S:
            missing = published - {client for client, in self._query("SELECT client FROM clients")}
        self._outcome.clients_late = len(missing)

    def _count_events(self, sent):
        """Waits until no more rows come, then compares."""
        self._outcome.messages = sum(sent.values())

        def counts():
            return {client: count for client, count in self._query(
                "SELECT client, sum(count) FROM events GROUP BY client") if client in sent}

        with contextlib.suppress(TimeoutError):
            wait_until(lambda: all(counts().get(client, 0) >= n for client, n in sent.items()),
                       "all events", 5)
        found = counts()
        self._outcome.events_missing = sum(
            max(0, n - found.get(client, 0)) for client, n in sent.items())
        self._outcome.events_twice = sum(
            max(0, found.get(client, 0) - n) for client, n in sent.items())

    def _rows(self):
        """{row: number of events that it stands for}."""
        events = self._query("SELECT id, count FROM events")
        clients = self._query("SELECT client, service FROM clients")
        return dict(events) | {client: 1 for client in clients}

    def _query(self, sql):
        uri = f"file:{self._daemon.config.history}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S)) as database:
            return database.execute(sql).fetchall()
