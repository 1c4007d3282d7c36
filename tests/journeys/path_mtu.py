#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Full segments exceed the MTU once they have an outer header. Nothing may be lost because of that.

The MTU is 1500 everywhere and no host advertises a smaller MSS, so the client has to be told.
"""

import json
import time

from support import (
    Addressing, Journey, MosquittoPub, PATIENCE_S, Session, config, main, mqtt, namespaces, network,
    topology,
)

TOPIC = "measurements/temperature"
SIZE = 1000
MESSAGES = 10_000
MTU = 1500
OUTER_HEADER = {4: 20, 6: 40}  # RFC 791, RFC 8200


class PathMtu(Journey):
    def setUp(self):
        super().setUp()
        self.teach("client0", TOPIC)
        self.outer_header = OUTER_HEADER[self.addressing.reals.version]

    def path_mtu(self):
        """The path MTU to the service in the client's kernel."""
        shown = namespaces.run(
            self.lab.namespace("client0"),
            ["ip", "-json", "route", "get", self.lab.layout.service_address],
            capture_output=True, check=True,
        )
        metrics = json.loads(shown.stdout)[0].get("metrics", [{}])
        return metrics[0].get("mtu", MTU)

    def expect_all(self):
        self.expect_delivered("client0", range(1, MESSAGES + 1))
        self.assertGreater(self.counters()["TOO_BIG"], 0)
        self.assertEqual(self.path_mtu(), MTU - self.outer_header)

    def test_ten_thousand_messages_without_a_pause(self):
        """Publishes with mosquitto_pub, whose stream Nagle's algorithm cuts (RFC 896)."""
        with self.expect_all_judged(MESSAGES, MISPREDICT=0):
            with MosquittoPub(self.lab, "client0", TOPIC) as publisher:
                for number in range(1, MESSAGES + 1):
                    publisher.publish(TOPIC, mqtt.message("client0", "1", number, SIZE))
                publisher.close()
            self.expect_all()

    def test_nor_without_nagle(self):
        with self.expect_all_judged(MESSAGES, MISPREDICT=0):
            with Session(self.lab, "client0") as session:
                for number in range(1, MESSAGES + 1):
                    session.publish(TOPIC, mqtt.message("client0", "1", number, SIZE))
                session.disconnect()
            self.expect_all()


class PathMtuIpv6(PathMtu):
    addressing = Addressing.IPV6


class PathMtuIpv4OverIpv6(PathMtu):
    addressing = Addressing.IPV4_OVER_IPV6


class ChangingMtu(PathMtu):
    """The MTU of the load balancer's interface changes while it runs, and remorad follows."""

    test_ten_thousand_messages_without_a_pause = None
    test_nor_without_nagle = None

    def set_mtu(self, mtu):
        """Sets the MTU on both ends of the link: veth accepts no frame larger than its own MTU."""
        ends = [(topology.GATEWAY, "lb0"), (topology.LB, "eth0")]
        for node, device in ends if mtu < MTU else reversed(ends):
            network.ip_batch([f"link set {device} mtu {mtu}"], self.lab.namespace(node))

    def publish_until(self, is_enough, phase):
        """Publishes without a pause until is_enough(); returns the number of messages."""
        count = 0
        with Session(self.lab, "client0") as session:
            while not is_enough():
                session.send(*(
                    mqtt.publish(TOPIC, mqtt.message("client0", phase, count + n, SIZE))
                    for n in range(1, 51)
                ))
                count += 50
            session.disconnect()
        return count

    def expect_path_mtu(self, expected, phase):
        """Publishes until the client's kernel has learned the path MTU; nothing may be lost."""
        deadline = time.monotonic() + PATIENCE_S
        count = self.publish_until(
            lambda: self.path_mtu() == expected or time.monotonic() > deadline, phase
        )
        self.assertEqual(self.path_mtu(), expected)
        self.expect_delivered("client0", range(1, count + 1), phase)

    def test_it_is_lowered_and_raised_again(self):
        self.expect_path_mtu(MTU - self.outer_header, "before")
        self.set_mtu(1400)
        self.expect_path_mtu(1400 - self.outer_header, "lowered")
        self.set_mtu(MTU)
        # The client's kernel would try a larger MTU after ten minutes (RFC 1191 §6.3).
        namespaces.run(self.lab.namespace("client0"), ["ip", "route", "flush", "cache"], check=True)
        namespaces.run(
            self.lab.namespace("client0"), ["ip", "-6", "route", "flush", "cache"], check=True
        )
        self.expect_path_mtu(MTU - self.outer_header, "raised")


class ChangingMtuIpv6(ChangingMtu):
    addressing = Addressing.IPV6


class NarrowClient(Journey):
    """The path from the brokers to a client has a smaller MTU than they can know.

    They answer with the service's address, so routers send their ICMP errors to it. The load
    balancer has to forward each error to the broker that sent the packet.
    """

    LENGTH = 100_000
    TOPIC = "to/the/client"

    def setUp(self):
        if self.settings.forwarder != config.EMBEDDED:
            self.skipTest("the error is for the service, which Katran does not know")
        super().setUp()

    def test_a_large_message_gets_to_the_client(self):
        namespaces.run(
            self.lab.namespace(topology.GATEWAY), ["ip", "link", "set", "c0", "mtu", "1300"],
            check=True,
        )
        with Session(self.lab, "client0") as session:
            session.send(mqtt.subscribe(self.TOPIC))
            session.read(mqtt.SUBACK)
            # Its broker belongs to the default group.
            for broker in sorted(self.group_brokers["default"]):
                namespaces.run(
                    self.lab.namespace(broker),
                    ["mosquitto_pub", "-h", "127.0.0.1", "-t", self.TOPIC, "-s"],
                    input=bytes(self.LENGTH), check=True,
                )
            body = session.read(mqtt.PUBLISH)
            self.assertEqual(len(body), 2 + len(self.TOPIC) + self.LENGTH)
        self.assertGreater(self.counters()["ICMP_TO_BROKER"], 0)


class NarrowClientIpv6(NarrowClient):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
