#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One segment in a hundred is lost on its way to the load balancer, and another one comes late.

No client may be reset for it, and nearly all messages must be judged. The seed of the link and of
the messages' sizes is printed; REMORA_SEED sets it. bench/lossy measures how much throughput the
inspection costs.
"""

import concurrent.futures
import os
import random

from support import Addressing, Journey, Session, main, mqtt

SEED = int(os.environ.get("REMORA_SEED", random.SystemRandom().randrange(1 << 32)))
SHARE = 0.01

TOPICS = {"client0": "measurements/temperature", "client1": "measurements/humidity"}
CONNECTIONS = 2  # of each client
MESSAGES = 8_000  # of each connection
JUDGED = 0.99


class Lossy(Journey):
    clients = 2

    def setUp(self):
        super().setUp()
        print(f"REMORA_SEED={SEED}", flush=True)

    def expect_a_bad_link(self, link):
        """Expects that the link lost and delayed as many segments as it should."""
        counts = link.counts()
        print(counts, flush=True)
        self.assertGreater(counts.segments, 5_000)
        for share in (counts.lost / counts.segments, counts.late / counts.segments):
            self.assertGreater(share, SHARE / 2)
            self.assertLess(share, SHARE * 2)

    def publish(self, session, node, phase, generator):
        topic = TOPICS[node]
        session.send(*(
            mqtt.publish(topic, mqtt.message(node, phase, number, generator.randrange(100, 1001)))
            for number in range(1, MESSAGES + 1)
        ))
        session.disconnect()

    def test_everything_arrives_and_nearly_all_is_judged(self):
        for node, topic in TOPICS.items():
            self.teach(node, topic)
        link = self.lab.link.spoil(lose=SHARE, delay=SHARE, seed=SEED)
        before = self.counters()
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS * len(TOPICS)) as pool:
            running = []
            for number in range(CONNECTIONS):
                for node in TOPICS:
                    session = Session(self.lab, node, f"{node}-{number}")
                    self.addCleanup(session.close)
                    generator = random.Random(f"{SEED} {node} {number}")
                    running.append(pool.submit(self.publish, session, node, str(number), generator))
            for publishing in running:
                publishing.result()
        for number in range(CONNECTIONS):
            for node in TOPICS:
                self.expect_delivered(node, range(1, MESSAGES + 1), str(number))

        grown = {name: value - before[name] for name, value in self.counters().items()}
        sent = MESSAGES * CONNECTIONS * len(TOPICS)
        judged = grown["PUBLISH"] - self.unjudged(before)
        print(f"{judged} of {sent} judged; { {n: v for n, v in grown.items() if v} }", flush=True)
        self.assertEqual((grown["MISPREDICT"], grown["RESET"], grown["MALFORMED"]), (0, 0, 0))
        self.assertGreaterEqual(judged, JUDGED * sent)
        self.assertLessEqual(judged, sent)
        self.expect_a_bad_link(link)


class LossyIpv6(Lossy):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
