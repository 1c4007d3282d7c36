#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An evacuation and messages of QoS 2: between PUBREC and PUBREL only the broker has the message, so
the connection stays until the PUBREL, for ten seconds at most.

Real clients are moved back and forth while they publish, and every message arrives once."""

import contextlib

from support import Journey, Paho, Session, Settings, config, main, mqtt, with_forwarders

TOPIC = "anything"
MOVES = 6
PER_SECOND = "1000"


class EvacuateQos2(Journey):
    clients = 4
    brokers = 2
    settings = Settings(groups={"default": [1, 2]}, routes=())

    def evacuate(self, node):
        """Starts the evacuation; the other broker takes new connections again."""
        number = int(node.removeprefix("broker"))
        self.daemon.ask("reals", "enable", self.lab.layout.broker_address(3 - number))
        self.daemon.ask("reals", "evacuate", self.lab.layout.broker_address(number),
                        "--per-second", PER_SECOND)

    def start_message(self, session, number):
        """Publishes a message of QoS 2 up to its PUBREC."""
        session.publish(TOPIC, mqtt.message("client0", "1", number), qos=2, packet_id=number)
        session.read(mqtt.PUBREC)

    def finish_message(self, session, number):
        session.send(mqtt.pubrel(number))
        session.read(mqtt.PUBCOMP)

    def home_of(self, client):
        """The broker that got the client's last message."""
        return [d.broker for d in self.deliveries.all() if d.client == client][-1]

    def evacuate_between_pubrec_and_pubrel(self):
        """A session whose client has been asked to leave, and which goes on."""
        session = Session(self.lab, "client0", will=("wills/client0", "gone"))
        self.addCleanup(session.close)
        self.start_message(session, 1)
        self.finish_message(session, 1)
        self.wait_for_number("client0", 1)
        self.start_message(session, 2)
        self.evacuate(self.home_of("client0"))
        self.wait_until(lambda: self.daemon.own_counters()["evacuation_asked"] == 1, "the question")
        # The client acknowledges each answer. Without the open message the first would be the end.
        for _ in range(3):
            session.send(mqtt.pingreq())
            session.read(mqtt.PINGRESP)
        return session

    def expect_ended_cleanly(self, session):
        self.assertTrue(session.wait_for_reset())
        self.wait_until(lambda: self.daemon.own_counters()["clean_ends"] == 1, "a clean end")
        self.assertEqual(self.daemon.own_counters()["evacuation_forced"], 0)

    def test_a_connection_stays_until_its_pubrel(self):
        session = self.evacuate_between_pubrec_and_pubrel()
        # The connection may end before PUBCOMP is read.
        session.send(mqtt.pubrel(2))
        self.wait_for_number("client0", 2)
        self.expect_ended_cleanly(session)
        self.assertEqual(self.daemon.own_counters()["evacuation_hurried"], 0)
        self.expect_delivered("client0", [1, 2])

    def test_without_a_pubrel_it_leaves_after_ten_seconds(self):
        session = self.evacuate_between_pubrec_and_pubrel()
        self.expect_ended_cleanly(session)
        self.assertEqual(self.daemon.own_counters()["evacuation_hurried"], 1)
        self.expect_delivered("client0", [1])

    def test_clients_that_are_moved_again_and_again_deliver_every_message_once(self):
        nodes = self.lab.layout.client_nodes
        with contextlib.ExitStack() as stack:
            publishers = [stack.enter_context(Paho(self.lab, node, qos=2)) for node in nodes]
            for publisher in publishers:
                self.feed_in_step(publisher, TOPIC, 1)
            with self.meanwhile(lambda: self.publish_some(publishers)):
                for _ in range(MOVES):
                    self.move(nodes)
            for publisher in publishers:
                publisher.close()
        self.assertGreaterEqual(self.counters()["EVACUATED"], MOVES)
        self.assertEqual(self.daemon.own_counters()["evacuation_forced"], 0)
        self.expect_all_delivered()

    def publish_some(self, publishers):
        """Each client publishes one more message; waits until those of the slowest have arrived."""
        for publisher in publishers:
            last = self.feed(publisher, TOPIC, 1)
        self.wait_for_number(publishers[-1].node, last)

    def move(self, nodes):
        """Evacuates the broker of the first client until nobody is left there."""
        home = self.home_of(nodes[0])
        self.evacuate(home)
        self.wait_until(lambda: not self.real(home)["evacuated"], "the end of the evacuation")
        self.wait_until(lambda: self.home_of(nodes[0]) != home, "messages at the other broker")


if __name__ == "__main__":
    main(with_forwarders(config.EMBEDDED, config.KATRAN_OBJECT, why="the reals are the server's"))
