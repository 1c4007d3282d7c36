# SPDX-License-Identifier: Apache-2.0
"""Base of all journeys: a private lab for each test, and verbs to tell a story with.

A journey is a program that runs its tests. Where it cannot run at all it ends with 77, which ctest
shows as skipped. REMORA_BUILD names the build folder whose remorad is tested.

A journey waits for facts, never for a time, and no assertion depends on how fast the machine is:
lab/waiting.py. Measurements are in bench/.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# The path must be set first.
from lab import config, mqtt, namespaces, network, topology, verdict  # noqa: E402
from lab.build import build_folder, preset_folder  # noqa: E402
from lab.config import Settings  # noqa: E402
from lab.deliveries import Deliveries  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.publishers import MosquittoPub, Paho, Publisher  # noqa: E402
from lab.session import Session, teach  # noqa: E402
from lab.topology import Addressing  # noqa: E402
from lab.traffic import Sent  # noqa: E402
from lab.waiting import PATIENCE_S, wait_until  # noqa: E402
from lab.witness import Witness  # noqa: E402

__all__ = [
    "Addressing", "CHECK_TIMEOUT_S", "HEALTH", "Journey", "MosquittoPub", "OF_CONDEMNED",
    "PATIENCE_S", "Paho", "Publisher", "Session", "Settings", "build_folder", "config", "main",
    "mqtt", "namespaces", "network", "topology", "with_forwarders",
]

SKIPPED = 77

# Journeys need programs that are built with the tests.
os.environ.setdefault("REMORA_BUILD", preset_folder("release"))

# Counters of late packets of a mispredicted connection, which may come at any time.
OF_CONDEMNED = {"CONDEMNED_DROP", "CONDEMNED_RST"}

# [health] for journeys in which brokers die. The timeout is generous, so that a living broker is
# found alive on a busy machine as well: Paho alone takes up to 1.1 s for a new connection.
CHECK_TIMEOUT_S = 4
HEALTH = f"interval_s = {CHECK_TIMEOUT_S}\ntimeout_s = {CHECK_TIMEOUT_S}\nrise = 1\nfall = 2"

_TRY_EVERY_S = 0.1


class Journey(unittest.TestCase):
    """Gives each test its own lab, with remorad running and a subscriber at each broker."""

    clients = 1
    brokers = 6
    settings = Settings()
    addressing = Addressing.IPV4

    def setUp(self):
        story = pathlib.Path(sys.argv[0]).stem.replace("_", "-")
        self.lab = Lab(f"j-{story}"[:20])
        self.lab.clear_abandoned()
        self.lab.up(
            self.clients, self.brokers, self.settings, is_ours=True, addressing=self.addressing
        )
        self.addCleanup(self._take_down)
        self.daemon = self.lab.daemon
        self.sent = []  # what feed() gave to publishers
        self.deliveries = Deliveries(self.lab)
        self.addCleanup(self.deliveries.close)
        groups = self.settings.groups or self.lab.layout.group_brokers()
        self.group_brokers = {
            group: {f"broker{number}" for number in numbers} for group, numbers in groups.items()
        }
        routes = dict(self.settings.routes)
        self.brokers_of = lambda topic: self.group_brokers[routes.get(topic, "default")]

    def _has_failed(self):
        # Not _outcome.success, which by now includes the clean-up.
        told = self._outcome.result.errors + self._outcome.result.failures
        return any(self in (test, getattr(test, "test_case", None)) for test, _ in told)

    def _take_down(self):
        if self._has_failed():
            print(f"remorad: {self.daemon.last_words(30)}", file=sys.stderr)
            with contextlib.suppress(Exception):
                seen = {n: v for n, v in self.daemon.counters().items() if v}
                print(f"counters: {seen}", file=sys.stderr)
        for problem in self.lab.down():
            print(f"lab: {problem}", file=sys.stderr)

    # ---- clients ---------------------------------------------------------------

    def mosquitto_pub(self, node, topic, number, *, phase="1", qos=0):
        """Publishes one message with a new mosquitto_pub, like the seed's tests; its exit code."""
        return namespaces.run(
            self.lab.namespace(node),
            ["mosquitto_pub", "-h", self.lab.layout.service_address, "-i", node, "-t", topic,
             "-q", str(qos), "-m", mqtt.message(node, phase, number)],
            timeout=PATIENCE_S, capture_output=True,
        ).returncode

    def teach(self, node, topic, **options):
        teach(self.lab, node, topic, **options)

    def change_address(self, node):
        return self.lab.clients.change_address(node)

    def watch(self):
        """Watches all connections from here to the end of the test."""
        witness = Witness(self.lab)
        self.addCleanup(witness.close)
        return witness

    # ---- messages --------------------------------------------------------------

    def feed(self, publisher, topic, count, *, phase="1", size=0):
        """Gives `publisher` the next `count` messages of its client and phase, without a pause.

        Returns the number of the last one.
        """
        node = publisher.node
        for _ in range(count):
            number = 1 + sum((m.client, m.phase) == (node, phase) for m in self.sent)
            self.sent.append(Sent(node, phase, number, topic, time.time()))
            publisher.publish(topic, mqtt.message(node, phase, number, size))
        return number

    def feed_in_step(self, publisher, topic, count, *, phase="1"):
        """Like feed(), but each message waits until the one before it has been delivered."""
        for _ in range(count):
            number = self.feed(publisher, topic, 1, phase=phase)
            self.wait_for_number(publisher.node, number, phase)

    def feed_until_back(self, publisher, topic, phase="1"):
        """Feeds a client that will be reset until it has come back; returns the last number.

        A client without a connection may drop messages, so only an arrival shows that it is back.
        """
        deadline = time.monotonic() + PATIENCE_S
        first = number = self.feed(publisher, topic, 1, phase=phase)
        while not self.deliveries.wait_for(
            lambda _: max(self.numbers(publisher.node, phase), default=0) >= first,
            _TRY_EVERY_S,
        ):
            if time.monotonic() > deadline:
                self.fail(f"{publisher.node} does not come back")
            number = self.feed(publisher, topic, 1, phase=phase)
        self.wait_for_number(publisher.node, number, phase)
        self.feed_in_step(publisher, topic, 3, phase=phase)
        return number + 3

    @contextlib.contextmanager
    def meanwhile(self, step, every_s=0.0):
        """Repeats `step` on a thread of its own until the block ends; throws what it threw."""
        is_over = threading.Event()

        def run():
            while not is_over.wait(every_s):
                step()

        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
            running = pool.submit(run)
            try:
                yield
            finally:
                is_over.set()
            running.result()

    # ---- expectations --------------------------------------------------------------

    def numbers(self, client, phase="1"):
        """The numbers of the messages of `client` that arrived anywhere, in order of arrival."""
        return [
            d.number for d in self.deliveries.all() if (d.client, d.phase) == (client, phase)
        ]

    def brokers_that_got(self, client, phase="1"):
        return {d.broker for d in self.deliveries.all() if (d.client, d.phase) == (client, phase)}

    def wait_for_number(self, client, number, phase="1"):
        """Waits until that message has arrived at any broker."""
        if not self.deliveries.wait_for(
            lambda everything: any(
                (d.client, d.phase, d.number) == (client, phase, number) for d in everything)
        ):
            self.fail(f"message {number} of {client} in phase {phase} does not arrive")

    def expect_delivered(self, client, numbers, phase="1"):
        """Waits until exactly the messages `numbers` of `client` have arrived, at right brokers."""
        expected = sorted(numbers)
        self.deliveries.wait_for_count(len(expected), client, phase)
        self.deliveries.settle()
        self.assertEqual(sorted(self.numbers(client, phase)), expected)
        self.expect_no_wrong_group()

    def expect_all_delivered(self, phase="1"):
        """Waits until all messages fed in `phase` have arrived, once each and at right brokers."""
        for client in sorted({m.client for m in self.sent if m.phase == phase}):
            numbers = [m.number for m in self.sent if (m.client, m.phase) == (client, phase)]
            self.expect_delivered(client, numbers, phase)

    def expect_losses_only_in_gaps(self, witness, phase="1"):
        """Expects losses only between a mispredict and its client's reconnect.

        Returns the mispredicts that the witness saw in `phase`.
        """
        def seen():
            return verdict.Phase(
                phase, "", [m for m in self.sent if m.phase == phase],
                [d for d in self.deliveries.all() if d.phase == phase],
                [m for m in witness.mispredicts(self.brokers_of) if m.publish.phase == phase],
                {}, {},
            )

        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not seen().unexplained_losses(), "what is missing")
        self.deliveries.settle()
        observed = seen()
        self.assertEqual(observed.unexplained_losses(), [])
        self.assertEqual(observed.repeated(), 0)
        self.expect_no_wrong_group()
        return observed.mispredicts

    def wait_for_ends(self, mispredicts, how):
        """Waits until each of these connections has ended at its broker, in the way `how`."""
        self.wait_until(
            lambda: all(m.connection.ended_by for m in mispredicts), "the ends of all sessions")
        self.assertEqual({m.connection.ended_by for m in mispredicts}, {how})

    def expect_no_wrong_group(self):
        wrong = [
            (d.broker, d.topic, d.client, d.number)
            for d in self.deliveries.all()
            if d.broker not in self.brokers_of(d.topic)
        ]
        self.assertEqual(wrong, [], "deliveries at a wrong group")

    def counters(self):
        return self.daemon.counters()

    @contextlib.contextmanager
    def expect_counted(self, **expected):
        """Expects these counters to grow within the block by exactly these amounts."""
        before = self.counters()
        yield
        after = self.counters()
        self.assertEqual({n: after[n] - before[n] for n in expected}, expected)

    @contextlib.contextmanager
    def expect_all_judged(self, count, **expected):
        """Like expect_counted(), with exactly `count` PUBLISHes, all of which are judged."""
        before = self.counters()
        with self.expect_counted(PUBLISH=count, BLIND=0, MALFORMED=0, **expected):
            yield
        self.assertEqual(self.unjudged(before), 0)

    def unjudged(self, before):
        """Number of PUBLISHes that were seen but not judged since the counters `before`."""
        return sum(
            value - before[name] for name, value in self.counters().items()
            if name.startswith("TOPIC_")
        )

    def retransmitted(self, node):
        """Number of segments that a client's kernel has retransmitted."""
        with namespaces.inside(self.lab.namespace(node)):
            with open("/proc/thread-self/net/snmp", encoding="ascii") as file:
                names, values = (line.split() for line in file if line.startswith("Tcp:"))
        return int(values[names.index("RetransSegs")])

    def wait_until(self, predicate, what):
        """lab.waiting.wait_until(), which fails the test when it times out."""
        try:
            return wait_until(predicate, what)
        except TimeoutError as error:
            self.fail(str(error))

    def real(self, node):
        """The row of `remoractl reals list` for the broker of `node`."""
        address = self.lab.layout.broker_address(topology.number_of(node))
        rows = self.daemon.ask("reals", "list")["reals"]
        return next(row for row in rows if row["real"] == address)

    def wait_for_state(self, node, state):
        self.wait_until(lambda: self.real(node)["state"] == state, f"{node} to be {state}")

    def configure(self, settings):
        """Writes another configuration file, which remorad reads on reload."""
        self.lab.reconfigure(settings)

    def reload(self, outcome):
        """Sends SIGHUP, waits until the log says `outcome`, and returns that line."""
        log = pathlib.Path(self.daemon.log)
        before = log.stat().st_size
        said = []

        def has_answered():
            # The last line may still be incomplete.
            *fresh, _ = log.read_bytes()[before:].decode().split("\n")
            said[:] = [line for line in fresh if outcome in line]
            return said

        self.daemon.reload()
        self.wait_until(has_answered, f'"{outcome}" in the log')
        return said[0]

    def pinned_tables(self):
        """{name: id} of the maps that the kernel holds for this instance."""
        listed = subprocess.run(
            ["bpftool", "--json", "--bpffs", "map", "show"], capture_output=True, check=True
        )
        folder = self.daemon.pins + "/"
        return {
            pin.removeprefix(folder): entry["id"]
            for entry in json.loads(listed.stdout) for pin in entry.get("pinned", ())
            if pin.startswith(folder)
        }

    def history(self, sql, *parameters):
        """Rows of the history, read while remorad writes."""
        uri = f"file:{self.daemon.config.history}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S)) as database:
            return database.execute(sql, parameters).fetchall()


def cannot_run():
    """The reason why journeys cannot run here, or None."""
    if os.geteuid() != 0:
        return "network namespaces and BPF programs need root"
    for program in ("/usr/sbin/mosquitto", "/usr/bin/mosquitto_pub"):
        if not os.path.exists(program):
            return f"{program} is missing: scripts/install-packages test"
    if Settings().forwarder != config.EMBEDDED and not os.environ.get("REMORA_KATRAN_OBJ"):
        return "REMORA_KATRAN_OBJ does not name Katran's object (balancer.bpf.o)"
    return None


def with_forwarders(*forwarders, why):
    """For main(): the journey runs with these forwarders only."""
    own = Settings().forwarder
    return lambda: None if own in forwarders else f"not with {own}: {why}"


def main(prepare=lambda: None):
    """`prepare` returns the reason why the journey cannot run here, or None."""
    if reason := cannot_run() or prepare():
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
