#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A broker's weight is doubled under load: connections stay where they are and lose nothing, few
slots of the ring move unnecessarily, and new connections follow the new weights."""

import collections
import dataclasses

from support import (
    Addressing, Journey, Session, Settings, config, main, mqtt, with_forwarders,
)

from lab import pinned

CLIENTS = 60
CONNECTIONS = 160
HEAVY = 2
TOPIC = "anything"

# Share of slots that may move between reals whose weight did not change. The Maglev paper (NSDI
# 2016, §5.3) has 2 % when one of many reals leaves a table of this size.
MOST_EXCHANGED = 0.02


class Weights(Journey):
    brokers = 4
    settings = Settings(groups={"default": [1, 2, 3, 4]}, routes=())

    def setUp(self):
        super().setUp()
        self.addresses = self.lab.clients.add_addresses("client0", CLIENTS)
        self.witness = self.watch()
        self.sessions = {f"c{n}": self.open(n, f"c{n}") for n in range(CLIENTS)}
        self.published = 0

    def open(self, number, name):
        session = Session(self.lab, "client0", name,
                          source=self.addresses[number % len(self.addresses)])
        self.addCleanup(session.close)
        return session

    def publish(self):
        """Each client publishes one more message; returns once all are acknowledged."""
        self.published += 1
        for name, session in self.sessions.items():
            session.publish(TOPIC, mqtt.message(name, "living", self.published), qos=1,
                            packet_id=self.published)
        for session in self.sessions.values():
            session.read(mqtt.PUBACK)

    def ring(self):
        number = next(g["number"] for g in self.daemon.status()["groups"] if g["configured"])
        return pinned.ring_of(self.daemon.pins, number)

    def index(self, broker):
        return pinned.index_of_real(self.daemon.pins, self.lab.layout.broker_address(broker))

    def expect_shares(self, ring, weights):
        """Expects exact shares of the ring."""
        counts = collections.Counter(ring)
        for broker, weight in weights.items():
            part = pinned.RING_SIZE * weight / sum(weights.values())
            self.assertLess(abs(counts[self.index(broker)] - part), 2, f"broker{broker}")

    def expect_few_moves(self, before, after):
        heavy = self.index(HEAVY)
        moves = collections.Counter(
            (old == heavy, new == heavy) for old, new in zip(before, after) if old != new
        )
        gained, lost, exchanged = moves[False, True], moves[True, False], moves[False, False]
        print(f"of {pinned.RING_SIZE} slots {gained} went to the heavier real, {lost} from it, "
              f"{exchanged} from one of the others to another one "
              f"({100 * exchanged / pinned.RING_SIZE:.2f} %)")
        self.assertEqual(gained - lost, after.count(heavy) - before.count(heavy))
        self.assertLess(exchanged + lost, MOST_EXCHANGED * pinned.RING_SIZE)

    def test_a_doubled_weight_moves_no_connection(self):
        self.publish()
        before = self.ring()
        self.expect_shares(before, {1: 1, 2: 1, 3: 1, 4: 1})
        heavier = dataclasses.replace(self.settings, weights={HEAVY: 2})
        self.configure(heavier)
        with self.expect_counted(MISPREDICT=0, RESET=0, NO_FLOW=0):
            with self.meanwhile(self.publish):
                self.reload("configuration reloaded")
            self.publish()
        after = self.ring()
        self.expect_shares(after, {1: 1, 2: 2, 3: 1, 4: 1})
        self.expect_few_moves(before, after)

        expected = collections.Counter(
            (name, number) for name in self.sessions for number in range(1, self.published + 1))
        self.deliveries.wait_for_count(expected.total())
        self.deliveries.settle()
        got = self.deliveries.all()
        self.assertEqual(collections.Counter((d.client, d.number) for d in got), expected)
        self.assertEqual(len({(d.client, d.broker) for d in got}), CLIENTS, "each at one broker")
        self.assertEqual(len(self.witness.all()), CLIENTS)
        self.assertEqual([c for c in self.witness.all() if c.resets or c.strays], [])

    def test_new_connections_follow_the_new_weights(self):
        self.configure(dataclasses.replace(self.settings, weights={HEAVY: 2}))
        self.reload("configuration reloaded")
        for number in range(CONNECTIONS):
            self.open(number, f"n{number}").publish(TOPIC, mqtt.message(f"n{number}", "new", 1))
        self.wait_until(
            lambda: self.deliveries.count(phase="new") == CONNECTIONS, "all first messages")
        counts = collections.Counter(d.broker for d in self.deliveries.all() if d.phase == "new")
        print(f"{CONNECTIONS} new connections: {dict(sorted(counts.items()))}")
        # Ports are random. The bounds are five sigma from two fifths and one fifth of 160.
        self.assertGreater(counts[f"broker{HEAVY}"], 33)
        self.assertLess(counts[f"broker{HEAVY}"], 95)
        for broker in {1, 3, 4}:
            self.assertGreater(counts[f"broker{broker}"], 6)
            self.assertLess(counts[f"broker{broker}"], 58)


class WeightsIpv6(Weights):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main(with_forwarders(config.EMBEDDED, config.KATRAN_OBJECT, why="the weights are the server's"))
