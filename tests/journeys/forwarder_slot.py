#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The program in the forwarder's slot is replaced under load, and no client notices. While the slot
is empty, packets are dropped and counted, and go nowhere else."""

import os
import socket

from support import (
    Addressing, Journey, MosquittoPub, OF_CONDEMNED, PATIENCE_S, Paho, build_folder, config, main,
    namespaces, network, topology,
)

from lab import pinned

TOPICS = {"client0": "measurements/temperature", "client1": "measurements/humidity"}
REPLACEMENTS = 20
PACE_S = 0.02
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
CARRIERS = {socket.IPPROTO_TCP, socket.IPPROTO_IPIP, socket.IPPROTO_IPV6}
# Counters that may grow in normal operation.
USUAL = {"SYN", "SYN_PREDICTED", "SYN_UNKNOWN", "ESTABLISHED", "CLOSED", "PUBLISH", "JUDGED",
         "OTHER_TRAFFIC", *OF_CONDEMNED}


class ForwarderSlot(Journey):
    clients = 3

    def setUp(self):
        super().setUp()
        for node, topic in TOPICS.items():
            self.teach(node, topic)
        self.witness = self.watch()
        self.slot = pinned.ForwarderSlot(self.daemon.root_array)
        self.own = self.slot.program()
        self.publishers = [Paho(self.lab, node) for node in TOPICS]
        for publisher in self.publishers:
            self.addCleanup(publisher.kill)
        self.publish(5, "before")
        self.expect_all_delivered("before")

    def copy(self):
        embedded = os.path.join(build_folder(), "bpf", "forward.bpf.o")
        is_embedded = self.settings.forwarder == config.EMBEDDED
        return pinned.copy_of(
            self.own, embedded if is_embedded else config.katran_object(),
            os.path.join(network.BPFFS, f"{self.lab.layout.instance}-link", "forwarder_copy"),
        )

    def publish(self, count, phase):
        for publisher in self.publishers:
            self.feed(publisher, TOPICS[publisher.node], count, phase=phase)

    def expect_the_same_connections(self):
        connections = [c for c in self.witness.all() if c.node in TOPICS]
        self.assertEqual(sorted(c.node for c in connections), list(TOPICS))
        self.assertEqual(sum(c.resets + c.strays for c in connections), 0)

    def grown(self, before):
        return {name for name, value in self.counters().items() if value != before[name]}

    def test_another_copy_takes_over(self):
        before = self.counters()
        with self.copy() as copy:
            self.assertNotEqual(copy, self.own)
            with self.meanwhile(lambda: self.publish(1, "during"), PACE_S):
                for number in range(REPLACEMENTS):
                    program = self.own if number % 2 else copy
                    self.slot.put(program)
                    self.assertEqual(self.slot.program(), program)
                    arrived = self.deliveries.count()
                    self.deliveries.wait_for_count(arrived + 3)
            self.slot.put(copy)
        # From now on only the slot holds the copy.
        self.publish(5, "copied")
        for publisher in self.publishers:
            publisher.close()
        for phase in ("before", "during", "copied"):
            self.expect_all_delivered(phase)
        self.expect_the_same_connections()
        self.assertEqual(self.grown(before) - USUAL, set(), "nothing is dropped")

    # ---- an empty slot -------------------------------------------------------------

    def behind_the_balancer(self):
        """A packet socket that gets everything the load balancer sends, except ARP."""
        protocol = ETH_P_IPV6 if self.addressing.service.version == 6 else ETH_P_IP
        with namespaces.inside(self.lab.namespace(topology.GATEWAY)):
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        tap.bind(("lb0", protocol))
        tap.setblocking(False)
        return tap

    def segments(self, tap):
        """The number of packets in `tap` that are TCP or have an outer header."""
        protocol_at = 6 if self.addressing.service.version == 6 else 9
        found = 0
        while True:
            try:
                found += tap.recv(1 << 16)[protocol_at] in CARRIERS
            except BlockingIOError:
                return found

    def arrivals(self):
        return sum(len(c.arrivals) for c in self.witness.all())

    def test_an_empty_slot_loses_packets_and_sends_them_nowhere(self):
        with self.behind_the_balancer() as tap:
            before, arrived = self.counters(), self.arrivals()
            self.slot.clear()
            self.assertIsNone(self.slot.program())
            # No older frames are on their way, because everything was acknowledged.
            self.segments(tap)
            # Unlike paho, mosquitto_pub waits for the answer to its SYN for as long as it takes.
            late = MosquittoPub(self.lab, "client2", "measurements/other")
            self.addCleanup(late.kill)
            self.publish(25, "gap")
            self.wait_until(
                lambda: self.counters()["NO_FORWARDER"] - before["NO_FORWARDER"]
                >= 2 * len(TOPICS) + 1,
                "what both clients repeat, and a SYN",
            )
            # Other traffic needs no forwarder.
            ping = namespaces.run(
                self.lab.namespace("client2"),
                ["ping", "-c", "1", "-W", str(PATIENCE_S), self.addressing.service.lb],
                capture_output=True, text=True,
            )
            self.assertEqual(ping.returncode, 0, ping.stdout)
            self.assertEqual(self.segments(tap), 0, "packets sent elsewhere")
        self.assertEqual(self.arrivals(), arrived)
        self.assertEqual(self.deliveries.count(phase="gap"), 0)
        self.assertEqual(self.grown(before) - USUAL, {"NO_FORWARDER"})

        self.slot.put(self.own)
        self.publish(5, "after")
        self.feed(late, "measurements/other", 5, phase="after")
        for publisher in [*self.publishers, late]:
            publisher.close()
        for phase in ("gap", "after"):
            self.expect_all_delivered(phase)
        self.expect_the_same_connections()
        self.assertEqual(
            [c.resets for c in self.witness.all() if c.node == "client2"], [0])
        lost = self.counters()["NO_FORWARDER"] - before["NO_FORWARDER"]
        print(f"{lost} packets were dropped while there was no forwarder")


class ForwarderSlotIpv6(ForwarderSlot):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
