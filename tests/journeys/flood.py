#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand messages a second, in segments that are often full: the prototype lost 97 %."""

import concurrent.futures
import time

from support import Journey, MosquittoPub, Paho, main, mqtt

TOPIC = "measurements/temperature"
SIZE = 1000


class Flood(Journey):
    clients = 10

    def flood(self, messages, *, meanwhile=lambda number: None):
        """All clients, known by now, publish a hundred messages a second each; none may be lost."""
        nodes = self.lab.layout.client_nodes
        for node in nodes:
            self.teach(node, TOPIC)
        with self.expect_counted(MISPREDICT=0, RESET=0, NO_FLOW=0):
            publishers = [
                Paho(self.lab, node) if index % 2 else MosquittoPub(self.lab, node, TOPIC)
                for index, node in enumerate(nodes)
            ]
            for publisher in publishers:
                self.addCleanup(publisher.kill)
            start = time.monotonic()  # paces the load; delays in the delivery do not matter
            for number in range(1, messages + 1):
                meanwhile(number)
                for publisher in publishers:
                    publisher.publish(TOPIC, mqtt.message(publisher.node, "1", number, SIZE))
                time.sleep(max(0.0, start + number * 0.01 - time.monotonic()))
            for publisher in publishers:
                publisher.close()
            for node in nodes:
                self.expect_delivered(node, range(1, messages + 1))

    def test_ten_known_clients_with_a_hundred_messages_a_second_lose_nothing(self):
        self.flood(3000)

    def test_nor_while_remorad_is_killed_and_started_again_and_again(self):
        def kill_or_start(number):
            if number % 200 == 100:
                self.daemon.kill()
            elif number % 200 == 0:
                starts.append(pool.submit(self.daemon.start))
            elif number % 200 == 99 and starts:
                starts[-1].result()

        starts = []
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
            self.flood(699, meanwhile=kill_or_start)
        self.assertEqual(len(starts), 3)


if __name__ == "__main__":
    main()
