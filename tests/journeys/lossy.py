#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One segment in a hundred is lost on its way to the load balancer, and another one comes late.

Nobody may be reset for it, nearly all must be judged, and it may not cost what forwarding gains.
The seed of the link and of the messages' sizes is printed, and taken from REMORA_SEED if set.
"""

import json
import os
import pathlib
import random
import statistics
import subprocess
import threading

from support import Addressing, Journey, Session, Settings, main, mqtt, namespaces, network

SEED = int(os.environ.get("REMORA_SEED", random.SystemRandom().randrange(1 << 32)))
SHARE = 0.01

TOPICS = {"client0": "measurements/temperature", "client1": "measurements/humidity"}
CONNECTIONS = 2  # of each client
MESSAGES = 8_000  # of each connection
JUDGED = 0.99

BULK = str(pathlib.Path(__file__).with_name("bulk.py"))
BULK_PORT = 1884
MQTT, UNJUDGED = "mqtt", "unjudged"
BULK_CONNECTIONS, BULK_MEGABYTES = 4, 8
ROUNDS = 7
MEASUREMENTS = 3
RATIO = 0.8


class BadLinkJourney(Journey):
    def setUp(self):
        super().setUp()
        print(f"REMORA_SEED={SEED}", flush=True)

    def spoil_link(self):
        self.link = self.lab.spoil_link(lose=SHARE, delay=SHARE, seed=SEED)

    def expect_a_bad_link(self, least):
        """That the link was what it is meant to be; `least` segments passed."""
        counts = self.link.counts()
        print(counts, flush=True)
        self.assertGreater(counts.segments, least)
        for share in (counts.lost / counts.segments, counts.late / counts.segments):
            self.assertGreater(share, SHARE / 2)
            self.assertLess(share, SHARE * 2)


class Lossy(BadLinkJourney):
    clients = 2

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
        self.spoil_link()
        before = self.counters()
        threads = []
        for number in range(CONNECTIONS):
            for node in TOPICS:
                session = Session(self.lab, node, f"{node}-{number}", patience_s=60)
                self.addCleanup(session.close)
                generator = random.Random(f"{SEED} {node} {number}")
                threads.append(threading.Thread(
                    target=self.publish, args=(session, node, str(number), generator)
                ))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(CONNECTIONS):
            for node in TOPICS:
                self.expect_delivered(node, range(1, MESSAGES + 1), str(number), patience_s=60)

        grown = {name: value - before[name] for name, value in self.counters().items()}
        sent = MESSAGES * CONNECTIONS * len(TOPICS)
        judged = grown["PUBLISH"] - self.unjudged(before)
        print(f"{judged} of {sent} judged; { {n: v for n, v in grown.items() if v} }", flush=True)
        self.assertEqual((grown["MISPREDICT"], grown["RESET"], grown["MALFORMED"]), (0, 0, 0))
        self.assertGreaterEqual(judged, JUDGED * sent)
        self.assertLessEqual(judged, sent)
        self.expect_a_bad_link(5_000)


class LossyIpv6(Lossy):
    addressing = Addressing.IPV6


class Throughput(BadLinkJourney):
    brokers = 2
    settings = Settings(
        groups={"sensors": [1], "default": [2]},
        routes=(("sensors/", "sensors"),),
        extra=f"""
[[service]]
name = "bulk"
address = "10.1.50.200"
port = {BULK_PORT}
default_group = "default"
""",
    )

    def setUp(self):
        self.run_ahead_of_the_machine()
        super().setUp()
        sink = namespaces.spawn(
            self.lab.namespace("broker2"), ["/usr/bin/python3", BULK, "sink", str(BULK_PORT)],
            stdout=subprocess.PIPE, text=True,
        )
        self.addCleanup(sink.wait)
        self.addCleanup(sink.kill)
        self.addCleanup(sink.stdout.close)
        self.assertEqual(sink.stdout.readline(), "listening\n")
        client = self.lab.namespace("client0")
        # No connection begins with what the last one found out.
        namespaces.set_sysctls(client, {"net/ipv4/tcp_no_metrics_save": 1})
        # Else it is chance how many of a short transfer's losses cost it 200 ms.
        route = self.addressing.service.route_to_gateway().replace(" add ", " change ")
        network.ip_batch([f"{route} rto_min 5ms"], client)

    def send(self, kind):
        """Megabits per second of BULK_CONNECTIONS connections."""
        before = self.counters()
        result = namespaces.run(
            self.lab.namespace("client0"),
            ["/usr/bin/python3", BULK, "send", self.lab.layout.service_address, str(BULK_PORT),
             str(BULK_CONNECTIONS), str(BULK_MEGABYTES), kind, str(SEED)],
            capture_output=True, text=True, timeout=60,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        seen = self.counters()["PUBLISH"] - before["PUBLISH"]
        measured = json.loads(result.stdout)
        if kind == UNJUDGED:
            self.assertEqual(seen, 0, "the baseline is inspected")
        else:
            self.seen += seen
            self.sent += measured["publishes"]
        return measured["bytes"] * 8 / measured["seconds"] / 1e6

    def test_inspection_costs_little_of_the_throughput(self):
        self.spoil_link()
        self.sent = self.seen = 0
        rates = {MQTT: [], UNJUDGED: []}
        for kind in rates:
            self.send(kind)  # the first one is slow
        for _ in range(MEASUREMENTS):
            for _ in range(ROUNDS):
                for kind, measured in rates.items():
                    measured.append(self.send(kind))
            medians = {kind: statistics.median(measured) for kind, measured in rates.items()}
            ratio = medians[MQTT] / medians[UNJUDGED]
            print(f"{medians[MQTT]:.0f} Mbit/s of {medians[UNJUDGED]:.0f} without inspection: "
                  f"{ratio:.2f}, medians of {len(rates[MQTT])} each; {self.seen} of {self.sent} "
                  "PUBLISHes seen", flush=True)
            if ratio >= RATIO:
                break
        self.expect_a_bad_link(50_000)
        # What is not read costs nothing: with windows of megabytes streams go blind for a while.
        self.assertGreater(self.seen, 0.5 * self.sent)
        self.assertGreaterEqual(ratio, RATIO)


if __name__ == "__main__":
    main()
