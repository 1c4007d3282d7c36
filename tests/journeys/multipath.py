#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients and brokers that both want Multipath TCP: through the LB they speak plain TCP."""

import os
import socket

from support import Addressing, Journey, Paho, Settings, build_folder, main, namespaces

MESSAGES = 20
TOPIC = "measurements/temperature"


def wants_multipath():
    """A command whose program opens sockets of Multipath TCP only."""
    return ["/usr/bin/env", f"LD_PRELOAD={build_folder()}/tests/journeys/libmultipath_sockets.so"]


class Multipath(Journey):
    clients = 2
    brokers = 2
    settings = Settings(groups={"temperature": [1], "default": [2]},
                        routes=((TOPIC, "temperature"),))

    def setUp(self):
        super().setUp()
        for node in self.lab.layout.broker_nodes:
            self.lab.brokers.kill(node)
            self.lab.brokers.start(node, wants_multipath())
        self.deliveries.settle(repeat_s=0.05)

    def multipath_counter(self, node, name):
        """One of the kernel's MPTcpExt counters of `node`."""
        with namespaces.inside(self.lab.namespace(node)):
            with open("/proc/thread-self/net/netstat", encoding="ascii") as file:
                names, values = (line.split() for line in file if line.startswith("MPTcpExt:"))
        return int(values[names.index(name)])

    def test_a_mispredicted_client_comes_to_its_group(self):
        before = self.counters()
        with Paho(self.lab, "client0", qos=1, wrapper=wants_multipath()) as client:
            self.feed_until_back(client, TOPIC)
            self.feed_in_step(client, TOPIC, MESSAGES)
            client.close()

        self.expect_no_wrong_group()
        after = self.counters()
        self.assertEqual(after["MISPREDICT"] - before["MISPREDICT"], 1)
        self.assertEqual(after["BLIND"] - before["BLIND"], 0)
        self.assertGreaterEqual(after["SYN_OPTION"] - before["SYN_OPTION"], 2)
        self.assertGreaterEqual(self.multipath_counter("client0", "MPCapableSYNTX"), 2)
        for node in self.lab.layout.broker_nodes:
            # Subscribers do not connect through the LB.
            self.assertEqual(self.multipath_counter(node, "MPCapableSYNRX"),
                             self.multipath_counter(node, "MPCapableSYNTX"))


class MultipathIpv6(Multipath):
    addressing = Addressing.IPV6


def multipath_is_missing():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP).close()
    except OSError as error:
        return f"this kernel opens no sockets of Multipath TCP: {error.strerror}"
    return None


if __name__ == "__main__":
    main(multipath_is_missing)
