#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A broker is killed under load. Its clients come back at other brokers of its group, and no other
client notices. The broker returns and is used again. If all brokers of a group are dead, the last
set stays."""

import contextlib
import threading

from support import HEALTH, Journey, Session, Settings, main, mqtt

CLIENTS = 60
TOPIC = "anything"


class Publisher(threading.Thread):
    """Publishes at QoS 1, one message at a time. After a reset it connects again at once and
    repeats the message that was not acknowledged."""

    def __init__(self, lab, name, address):
        super().__init__(name=name, daemon=True)
        self._lab = lab
        self.address = address
        self.acknowledged = 0
        self.resets = 0
        self._end = threading.Event()
        self.start()

    def run(self):
        while not self._end.wait(0.01):
            with contextlib.suppress(OSError):
                with Session(self._lab, "client0", self.name, source=self.address) as session:
                    self._publish(session)

    def _publish(self, session):
        try:
            while not self._end.is_set():
                number = self.acknowledged + 1
                session.send(mqtt.publish(TOPIC, mqtt.message(self.name, "load", number), qos=1,
                                          packet_id=number % 65535 + 1))
                session.read(mqtt.PUBACK)
                self.acknowledged = number
                self._end.wait(0.05)
            session.disconnect()
        except ConnectionResetError:
            self.resets += 1

    def close(self):
        self._end.set()
        self.join()


class BrokerKilled(Journey):
    brokers = 3
    settings = Settings(groups={"default": [1, 2, 3]}, routes=(), health=HEALTH)

    def setUp(self):
        super().setUp()
        self.addresses = self.lab.clients.add_addresses("client0", CLIENTS)

    def homes(self, after=None):
        """{client: brokers that got its messages}, for messages after {client: number}."""
        homes = {}
        for delivery in self.deliveries.all():
            if after is None or delivery.number > after[delivery.client]:
                homes.setdefault(delivery.client, set()).add(delivery.broker)
        return homes

    def wait_for_messages_of_all(self, publishers):
        """Waits until each client has three more messages acknowledged."""
        goals = {publisher: publisher.acknowledged + 3 for publisher in publishers}
        self.wait_until(
            lambda: all(p.acknowledged >= goal for p, goal in goals.items()),
            "messages of all clients")

    def test_its_clients_come_back_elsewhere_and_nobody_else_notices(self):
        publishers = [
            Publisher(self.lab, f"c{number}", address)
            for number, address in enumerate(self.addresses)
        ]
        for publisher in publishers:
            self.addCleanup(publisher.close)
        self.wait_for_messages_of_all(publishers)
        self.wait_until(lambda: len(self.homes()) == CLIENTS, "deliveries of all clients")
        homes = {client: next(iter(nodes)) for client, nodes in self.homes().items()}
        self.assertEqual(set(homes.values()), {"broker1", "broker2", "broker3"})
        concerned = [p for p in publishers if homes[p.name] == "broker1"]
        others = [p for p in publishers if homes[p.name] != "broker1"]
        resets_before = sum(p.resets for p in publishers)
        self.assertEqual(resets_before, 0)

        self.lab.brokers.kill("broker1")
        self.wait_for_state("broker1", "dead")
        # The dead broker may have received one more message than it acknowledged.
        began = {p.name: p.acknowledged + 1 for p in publishers}
        self.wait_for_messages_of_all(publishers)
        self.deliveries.settle()

        self.assertEqual(self.real("broker1")["effective_weight"], 0)
        self.assertEqual(self.real("broker1")["health"]["last"]["what"], "Connection refused")
        self.assertEqual([p.name for p in others if p.resets], [], "clients of other brokers reset")
        after = self.homes(began)
        for publisher in others:
            self.assertEqual(after[publisher.name], {homes[publisher.name]})
        for publisher in concerned:
            self.assertLessEqual(after[publisher.name], {"broker2", "broker3"})
        self.assertEqual(self.real("broker2")["state"], "enabled")

        self.lab.brokers.start("broker1")
        self.wait_for_state("broker1", "enabled")
        self.assertGreater(self.real("broker1")["effective_weight"], 0)
        self.wait_until(
            lambda: self.history("SELECT what, uid, real, detail FROM operations ORDER BY id") == [
                ("dead", None, self.lab.layout.broker_address(1), "Connection refused"),
                ("alive", None, self.lab.layout.broker_address(1), None)],
            "death and return in the history")
        self.wait_for_messages_of_all(publishers)
        self.assertEqual([p.name for p in others if p.resets], [])

        for publisher in publishers:
            publisher.close()
        total = sum(publisher.acknowledged for publisher in others)
        names = {publisher.name for publisher in others}
        self.deliveries.wait_for(
            lambda everything: sum(d.client in names for d in everything) >= total)
        self.deliveries.settle()
        seen = {}
        for delivery in self.deliveries.all():
            seen.setdefault(delivery.client, []).append(delivery.number)
        for publisher in others:
            self.assertEqual(seen[publisher.name], list(range(1, publisher.acknowledged + 1)))
        self.expect_connections_at_the_broker_that_is_back()

    def expect_connections_at_the_broker_that_is_back(self):
        """The ring is the same as before it was killed. Its subscriber comes back by itself."""
        def tries():
            for number, address in enumerate(self.addresses):
                with Session(self.lab, "client0", f"n{number}", source=address) as session:
                    session.publish(TOPIC, mqtt.message(f"n{number}", "back", 1), qos=1,
                                    packet_id=1)
                    session.read(mqtt.PUBACK)
                    session.disconnect()
            return any(d.broker == "broker1" for d in self.deliveries.all() if d.phase == "back")

        self.wait_until(tries, "a message at the broker that is back")

    def test_when_all_are_dead_the_last_set_stays(self):
        self.lab.brokers.kill("broker1")
        self.wait_for_state("broker1", "dead")
        with Session(self.lab, "client0", "idle", source=self.addresses[0]) as idle:
            for node in ("broker2", "broker3"):
                self.lab.brokers.kill(node)
            for node in ("broker2", "broker3"):
                self.wait_for_state(node, "dead")
            in_ring = [n for n in self.lab.layout.broker_nodes if self.real(n)["effective_weight"]]
            self.assertEqual(len(in_ring), 1, in_ring)
            self.assertIn(in_ring[0], ("broker2", "broker3"))
            idle.close()

        # remorad remembers deaths across a restart: dead brokers stay out of the ring.
        self.daemon.stop()
        self.daemon.start()
        states = {row["state"] for row in self.daemon.ask("reals", "list")["reals"]}
        self.assertEqual(states, {"dead"})

        for node in self.lab.layout.broker_nodes:
            self.lab.brokers.start(node)
        for node in self.lab.layout.broker_nodes:
            self.wait_for_state(node, "enabled")
        with Session(self.lab, "client0", "after", source=self.addresses[1]) as session:
            session.publish(TOPIC, mqtt.message("after", "after", 1), qos=1, packet_id=1)
            session.read(mqtt.PUBACK)


if __name__ == "__main__":
    main()
