#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The seed's Test 6: six clients, three topics, six brokers, a hundred messages each."""

import concurrent.futures

from support import Addressing, Journey, MosquittoPub, Paho, main

TEMPERATURE, HUMIDITY, OTHER = (f"measurements/{name}" for name in
                                ("temperature", "humidity", "other"))
TOPICS = dict(zip(
    (f"client{number}" for number in range(6)),
    (TEMPERATURE, TEMPERATURE, HUMIDITY, HUMIDITY, HUMIDITY, OTHER),
))
MESSAGES = 100


class ManyClients(Journey):
    clients = 6

    def play(self, phase, feed):
        """Runs `feed` for each publisher, all at once."""
        publishers = {
            node: Paho(self.lab, node) if node < "client3" else MosquittoPub(self.lab, node, topic)
            for node, topic in TOPICS.items()
        }
        for publisher in publishers.values():
            self.addCleanup(publisher.kill)
        with concurrent.futures.ThreadPoolExecutor(len(publishers)) as pool:
            list(pool.map(feed, publishers.values()))
        for publisher in publishers.values():
            publisher.close()

    def feed_an_unknown(self, publisher):
        topic = TOPICS[publisher.node]
        if topic != OTHER:
            self.feed_until_back(publisher, topic, "unknown")
        self.feed(publisher, topic, MESSAGES, phase="unknown")

    def feed_a_known(self, publisher):
        self.feed_in_step(publisher, TOPICS[publisher.node], MESSAGES, phase="known")

    def test_everyone_finds_its_group_and_then_loses_nothing(self):
        witness = self.watch()
        self.play("unknown", self.feed_an_unknown)
        mispredicts = self.expect_losses_only_in_gaps(witness, "unknown")
        self.assertEqual(
            {m.connection.node for m in mispredicts}, set(TOPICS) - {"client5"}
        )

        with self.expect_counted(MISPREDICT=0, RESET=0):
            self.play("known", self.feed_a_known)
            self.expect_all_delivered("known")
        for client in TOPICS:
            self.assertEqual(len(self.brokers_that_got(client, "known")), 1,
                             f"{client} is on one connection, so on one broker")


class ManyClientsIpv6(ManyClients):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
