# SPDX-License-Identifier: Apache-2.0
"""What all journeys share: a private lab for each test, and verbs to tell a story with.

A journey is a program: it runs its tests and ends with 77, which ctest shows as skipped, where it
cannot run at all. REMORA_BUILD names the build folder whose remorad is put to the test.
"""

import contextlib
import os
import pathlib
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# The path comes first.
from lab import config, mqtt, namespaces, network, topology, verdict  # noqa: E402
from lab.config import Settings  # noqa: E402
from lab.deliveries import Deliveries  # noqa: E402
from lab.lab import Lab, build_folder  # noqa: E402
from lab.publishers import MosquittoPub, Paho, Publisher  # noqa: E402
from lab.session import Session  # noqa: E402
from lab.topology import Addressing  # noqa: E402
from lab.traffic import Sent  # noqa: E402
from lab.witness import Witness  # noqa: E402

__all__ = [
    "Addressing", "Journey", "MosquittoPub", "Paho", "Publisher", "Session", "Settings",
    "build_folder", "config", "main", "mqtt", "namespaces", "network", "topology", "verdict",
    "with_forwarders",
]

SKIPPED = 77


class Journey(unittest.TestCase):
    """Each test gets a lab of its own with remorad running, and a subscriber at each broker."""

    clients = 1
    brokers = 6
    settings = Settings()
    addressing = Addressing.IPV4

    def run_ahead_of_the_machine(self):
        """Before setUp: all that the lab starts inherits it. For measurements."""
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        self.addCleanup(os.sched_setscheduler, 0, *before)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

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
        # Not _outcome.success, which is the cleanup's own by now.
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
        """One message by a mosquitto_pub of its own, as the seed's tests do it; its exit code."""
        return namespaces.run(
            self.lab.namespace(node),
            ["mosquitto_pub", "-h", self.lab.layout.service_address, "-i", node, "-t", topic,
             "-q", str(qos), "-m", mqtt.message(node, phase, number)],
            timeout=20, capture_output=True,
        ).returncode

    def teach(self, node, topic, **options):
        """Makes Remora know that `node` publishes to `topic`: its next connection is right."""
        for _ in range(3):
            with contextlib.suppress(ConnectionResetError):
                with Session(self.lab, node, **options) as session:
                    session.publish(topic, mqtt.message(node, "teach", 0), qos=1, packet_id=1)
                    session.read(mqtt.PUBACK)
                    session.disconnect()
                    return
        self.fail(f"{node} cannot publish to {topic}: reset three times")

    def change_address(self, node):
        return self.lab.change_address(node)

    def add_addresses(self, node, count):
        """Gives a client `count` more addresses: each is a client of its own to Remora."""
        plan, device = self.addressing.service, f"c{topology.number_of(node)}"
        addresses = [plan.address(60, number) for number in range(1, count + 1)]
        network.ip_batch(
            [plan.add(address, "eth0") for address in addresses], self.lab.namespace(node)
        )
        network.ip_batch(
            [f"route add {plan.subnet(60)} dev {device}"], self.lab.namespace(topology.GATEWAY)
        )
        return addresses

    def watch(self):
        """A witness of all connections from here to the end of the test."""
        witness = Witness(self.lab)
        self.addCleanup(witness.close)
        return witness

    def feed(self, publisher, topic, count, *, every_s=0.05, phase="1", size=0):
        """Gives `publisher` the next `count` messages of its client and phase, one at a time."""
        node = publisher.node
        for _ in range(count):
            number = 1 + sum((m.client, m.phase) == (node, phase) for m in self.sent)
            self.sent.append(Sent(node, phase, number, topic, time.time()))
            publisher.publish(topic, mqtt.message(node, phase, number, size))
            time.sleep(every_s)

    def feed_until_back(self, publisher, topic, phase, patience_s=30.0):
        """Feeds a client that will be reset until it has come back; returns the last number.

        However long its start and its return take: it ends only when its messages arrive.
        """
        deadline = time.monotonic() + patience_s
        while not self.numbers(publisher.node, phase):
            if time.monotonic() > deadline:
                self.fail(f"{publisher.node} does not come back")
            self.feed(publisher, topic, 1, every_s=0.1, phase=phase)
        self.feed(publisher, topic, 5, phase=phase)
        return self.sent[-1].number

    # ---- what is expected ----------------------------------------------------------

    def numbers(self, client, phase="1"):
        """The numbers of the messages of `client` that arrived anywhere, in order of arrival."""
        return [
            d.number for d in self.deliveries.all() if (d.client, d.phase) == (client, phase)
        ]

    def expect_delivered(self, client, numbers, phase="1", patience_s=10.0):
        """Waits until exactly the messages `numbers` of `client` have arrived, at right brokers."""
        expected = sorted(numbers)
        self.deliveries.wait_for(
            lambda everything: sum((d.client, d.phase) == (client, phase) for d in everything)
            >= len(expected),
            patience_s,
        )
        self.deliveries.wait_until_quiet(0.2)
        self.assertEqual(sorted(self.numbers(client, phase)), expected)
        self.expect_no_wrong_group()

    def expect_all_delivered(self, phase="1", patience_s=15.0):
        """Waits until all that was fed in `phase` has arrived, once each and at right brokers."""
        for client in sorted({m.client for m in self.sent if m.phase == phase}):
            numbers = [m.number for m in self.sent if (m.client, m.phase) == (client, phase)]
            self.expect_delivered(client, numbers, phase, patience_s)

    def expect_losses_only_in_gaps(self, witness, phase="1"):
        """Nothing may be missing but between a mispredict and the client's own reconnect.

        Returns the mispredicts that the witness saw in `phase`.
        """
        self.deliveries.wait_until_quiet()
        mispredicts = [
            m for m in witness.mispredicts(self.brokers_of) if m.publish.phase == phase
        ]
        seen = verdict.Phase(
            phase, "", [m for m in self.sent if m.phase == phase],
            [d for d in self.deliveries.all() if d.phase == phase], mispredicts, {}, {},
        )
        self.assertEqual(seen.unexplained_losses(), [])
        self.assertEqual(seen.repeated(), 0)
        self.expect_no_wrong_group()
        return mispredicts

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
        """The counters that grow within the block, and by how much."""
        before = self.counters()
        yield
        after = self.counters()
        self.assertEqual({n: after[n] - before[n] for n in expected}, expected)

    @contextlib.contextmanager
    def expect_all_judged(self, count, **expected):
        """As expect_counted(), and exactly `count` PUBLISHes that are all judged."""
        before = self.counters()
        with self.expect_counted(PUBLISH=count, BLIND=0, MALFORMED=0, **expected):
            yield
        self.assertEqual(self.unjudged(before), 0)

    def unjudged(self, before):
        """How many PUBLISHes were seen and not judged since the counters `before`."""
        return sum(
            value - before[name] for name, value in self.counters().items()
            if name.startswith("TOPIC_")
        )

    def wait_until(self, predicate, what, patience_s=10.0):
        """Asks again until it is so: for what gives no sign when it changes."""
        deadline = time.monotonic() + patience_s
        while not predicate():
            if time.monotonic() > deadline:
                self.fail(f"still waiting for {what} after {patience_s:.0f} s")
            time.sleep(0.02)

    def configure(self, settings):
        """Writes another configuration file; remorad reads it when it is told to."""
        self.lab.reconfigure(settings)

    def reload(self, outcome):
        """SIGHUP; waits until the log says `outcome` and returns that line."""
        log = pathlib.Path(self.daemon.log)
        before = log.stat().st_size
        said = []

        def has_answered():
            # What follows the last line end is still being written.
            *fresh, _ = log.read_bytes()[before:].decode().split("\n")
            said[:] = [line for line in fresh if outcome in line]
            return said

        self.daemon.reload()
        self.wait_until(has_answered, f'"{outcome}" in the log')
        return said[0]

    def history(self, sql, *parameters):
        """Rows of the history, read as anybody else would while remorad writes."""
        uri = f"file:{self.daemon.config.history}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5)) as database:
            return database.execute(sql, parameters).fetchall()


def cannot_run():
    """Why journeys cannot run here; None if they can."""
    if os.geteuid() != 0:
        return "network namespaces and BPF programs need root"
    for program in ("/usr/sbin/mosquitto", "/usr/bin/mosquitto_pub"):
        if not os.path.exists(program):
            return f"{program} is missing: scripts/install-packages"
    if Settings().forwarder != config.EMBEDDED and not os.environ.get("REMORA_KATRAN_OBJ"):
        return "REMORA_KATRAN_OBJ does not name Katran's object (balancer.bpf.o)"
    return None


def with_forwarders(*forwarders, why):
    """For main(): the journey is made with these forwarders only."""
    own = Settings().forwarder
    return lambda: None if own in forwarders else f"not with {own}: {why}"


def main(prepare=lambda: None):
    """`prepare` says why the journey cannot be made here, or None."""
    if reason := cannot_run() or prepare():
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
