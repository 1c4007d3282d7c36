#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Routed clients of all kinds: nothing is lost, comes twice or comes to a wrong group."""

import itertools
import json
import subprocess

from clients import Npm, PahoCpp, install_npm_client
from router_support import HUMIDITY, TEMPERATURE, TOPICS, RouterJourney
from support import (
    Addressing, MosquittoPub, Paho, Session, build_folder, main, mqtt, namespaces, topology,
)

LOAD = f"{build_folder()}/mqtt_load"


class Load:
    """Counts at every broker what mqtt_load publishes."""

    def __init__(self, journey):
        self._journey = journey
        nodes = journey.lab.layout.broker_nodes
        places = [at(journey.lab.layout.broker_address(number), topology.MQTT_PORT)
                  for number in range(1, len(nodes) + 1)]
        self._nodes = nodes
        journey.deliveries.close()  # it reads lines, and these payloads may contain their ends
        # The LB reaches every broker at its own address.
        self._counter = namespaces.spawn(
            journey.lab.namespace(topology.LB), [LOAD, "count", *places],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        journey.addCleanup(self.close)
        journey.assertEqual(self._counter.stdout.readline(), "ready\n")

    def close(self):
        self._counter.kill()
        self._counter.wait()
        self._counter.stdin.close()
        self._counter.stdout.close()

    def publish(self, node, *options):
        """Runs mqtt_load publish to its end; its figures."""
        service = at(self._journey.lab.layout.service_address, topology.MQTT_PORT)
        done = namespaces.run(self._journey.lab.namespace(node), [LOAD, "publish", service, *options],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        return json.loads(done.stdout)

    def counts(self):
        self._counter.stdin.write("\n")
        self._counter.stdin.flush()
        return json.loads(self._counter.stdout.readline())

    def expect(self, messages):
        """Waits until so many have arrived, once each, and at brokers of their groups."""
        journey = self._journey
        journey.wait_until(lambda: self.counts()["messages"] >= messages, f"{messages} messages")
        counts = self.counts()
        seen = {name: counts[name] for name in ("messages", "distinct", "lost", "repeated")}
        journey.assertEqual(
            seen, {"messages": messages, "distinct": messages, "lost": 0, "repeated": 0})
        for topic, brokers in counts["topics"].items():
            names = {self._nodes[int(place)] for place in brokers}
            journey.assertLessEqual(names, journey.brokers_of(topic), topic)


def at(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Many(RouterJourney):
    """A thousand unknown clients at once, each of which publishes from its CONNACK on."""

    CLIENTS, MESSAGES = 1000, 10_000

    def test_all_of_them_are_right_from_the_first_message_on(self):
        sources = self.lab.clients.add_addresses("client0", 250)
        load = Load(self)
        with self.nothing_reset():
            figures = load.publish(
                "client0", "--clients", str(self.CLIENTS), "--messages", str(self.MESSAGES),
                "--per-second", "2000", "--at-once", "--topics", ",".join(TOPICS),
                "--sources", ",".join(sources))
            self.assertEqual((figures["connected"], figures["failed"]), (self.CLIENTS, 0))
            load.expect(self.MESSAGES)
        print({name: figures[name] for name in ("seconds", "per_second")}, load.counts()["delay_us"])


class InTurn(RouterJourney):
    """One client that publishes to three groups, a hundred messages a second."""

    def test_each_message_arrives_once(self):
        for number, qos in enumerate((0, 1, 2), start=1):
            with self.subTest(qos=qos), self.nothing_reset():
                load = Load(self)
                load.publish("client0", "--clients", "1", "--messages", "300", "--per-second", "100",
                             "--in-turn", "--topics", ",".join(TOPICS), "--qos", str(qos),
                             "--prefix", f"turn{number}")
                load.expect(300)
                load.close()


class Sizes(RouterJourney):
    """Every pair of quality, version and size (a covering array of strength 2)."""

    SIZES = (24, 1_000, 65_536, 1_000_000)
    VERSIONS = (3, 4, 5)
    QUALITIES = (0, 1, 2)

    def test_messages_of_all_sizes_arrive_whole(self):
        pairs = [(size, self.VERSIONS[(i + j) % 3], self.QUALITIES[j])
                 for i, size in enumerate(self.SIZES) for j in range(3)]
        for first, second in itertools.combinations(range(3), 2):
            kinds = (self.SIZES, self.VERSIONS, self.QUALITIES)
            self.assertEqual({(pair[first], pair[second]) for pair in pairs},
                             set(itertools.product(kinds[first], kinds[second])))
        for size, version, qos in pairs:
            with self.subTest(size=size, version=version, qos=qos), self.nothing_reset():
                load = Load(self)
                load.publish("client0", "--clients", "3", "--messages", "9", "--in-turn",
                             "--topics", ",".join(TOPICS), "--size", str(size),
                             "--version", str(version), "--qos", str(qos),
                             "--prefix", f"s{size}v{version}q{qos}")
                load.expect(9)
                self.assertEqual(load.counts()["bytes"], 9 * size)
                load.close()


class SizesIpv6(Sizes):
    addressing = Addressing.IPV6


class Libraries(RouterJourney):
    def expect_right(self, publisher, topics, phase):
        with self.nothing_reset(), publisher:
            for _ in range(20):
                for topic in topics:
                    self.feed(publisher, topic, 1, phase=phase)
            publisher.close()
            self.expect_all_delivered(phase)
        self.change_address("client0")

    def test_mosquitto_pub(self):
        for version, qos in itertools.product(("mqttv31", "mqttv311", "mqttv5"), (0, 1, 2)):
            with self.subTest(version=version, qos=qos):
                self.expect_right(
                    MosquittoPub(self.lab, "client0", TEMPERATURE, qos=qos, version=version),
                    (TEMPERATURE,), f"{version}-{qos}")

    def test_paho_python(self):
        for qos in (0, 1, 2):
            with self.subTest(qos=qos):
                self.expect_right(Paho(self.lab, "client0", qos=qos), TOPICS, f"paho-{qos}")

    def test_paho_cpp(self):
        self.expect_right(PahoCpp(self.lab, "client0"), TOPICS, "paho-cpp")

    def test_npm_mqtt(self):
        if reason := install_npm_client():
            self.skipTest(reason)
        for options in (("--qos=0",), ("--qos=1", "--aliases", "--properties"), ("--qos=2",)):
            with self.subTest(options=options):
                self.expect_right(Npm(self.lab, "client0", "--version=5", *options), TOPICS,
                                  "".join(options))


class Waking(RouterJourney):
    """A device that wakes, publishes to two groups, and goes back to sleep."""

    def test_each_time_it_is_right(self):
        numbers = itertools.count(1)
        sent = []
        for _ in range(10):
            with self.nothing_reset(), Session(self.lab, "client0", "waking") as device:
                for topic in (TEMPERATURE, HUMIDITY):
                    sent.append(next(numbers))
                    device.publish(topic, mqtt.message("client0", "1", sent[-1]))
                device.disconnect()
        self.expect_delivered("client0", sent)


if __name__ == "__main__":
    main()
