#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The seed's Test 6: six clients, three topics, six brokers, a hundred messages each."""

import threading

from support import Addressing, Journey, MosquittoPub, Paho, main

TEMPERATURE, HUMIDITY, OTHER = (f"measurements/{name}" for name in
                                ("temperature", "humidity", "other"))
TOPICS = dict(zip(
    (f"client{number}" for number in range(6)),
    (TEMPERATURE, TEMPERATURE, HUMIDITY, HUMIDITY, HUMIDITY, OTHER),
))


class ManyClients(Journey):
    clients = 6

    def play(self, phase, every_s):
        publishers = {
            node: Paho(self.lab, node) if node < "client3" else MosquittoPub(self.lab, node, topic)
            for node, topic in TOPICS.items()
        }
        for publisher in publishers.values():
            self.addCleanup(publisher.kill)
        threads = [
            threading.Thread(
                target=self.feed, args=(publisher, TOPICS[node], 100),
                kwargs={"every_s": every_s, "phase": phase},
            )
            for node, publisher in publishers.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for publisher in publishers.values():
            publisher.close()

    def test_everyone_finds_its_group_and_then_loses_nothing(self):
        witness = self.watch()
        self.play("unknown", 0.025)
        mispredicts = self.expect_losses_only_in_gaps(witness, "unknown")
        self.assertEqual(
            {m.connection.node for m in mispredicts}, set(TOPICS) - {"client5"}
        )

        with self.expect_counted(MISPREDICT=0, RESET=0):
            self.play("known", 0.01)
            self.expect_all_delivered("known")
        for client in TOPICS:
            brokers = {d.broker for d in self.deliveries.all()
                       if (d.client, d.phase) == (client, "known")}
            self.assertEqual(len(brokers), 1, f"{client} is on one connection, so on one broker")


class ManyClientsIpv6(ManyClients):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
