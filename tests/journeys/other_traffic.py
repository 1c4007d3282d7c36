#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Traffic that is not for the service reaches the load balancer's own host unchanged."""

import hashlib
import os
import socket
import subprocess
import threading

from scapy import all as scapy

from support import (
    Addressing, Journey, MosquittoPub, OF_CONDEMNED, PATIENCE_S, main, namespaces, network,
    topology,
)

MEGABYTES = 4


class OtherTraffic(Journey):
    def setUp(self):
        super().setUp()
        plan = self.addressing.service
        self.family, self.lb, self.service = plan.family, plan.lb, plan.service
        self.spare = plan.address(50, 250)  # next to the service's address, and unused

    def listen(self, address, port):
        """An echo server in the load balancer's namespace; it serves one connection."""
        with namespaces.inside(self.lab.namespace(topology.LB)):
            listener = socket.create_server((address, port), family=self.family)
        self.addCleanup(listener.close)

        def serve():
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return thread

    def expect_echo(self, address, port):
        """Sends megabytes there and back, in full segments, through segmentation and GRO."""
        data = os.urandom(MEGABYTES << 20)
        server = self.listen(address, port)
        with namespaces.inside(self.lab.namespace("client0")):
            client = socket.socket(self.family)
        with client:
            client.settimeout(PATIENCE_S)
            client.connect((address, port))
            sender = threading.Thread(target=client.sendall, args=(data,))
            sender.start()
            seen, length = hashlib.sha256(), 0
            while length < len(data):
                part = client.recv(1 << 16)
                self.assertTrue(part, "closed in the middle")
                seen.update(part)
                length += len(part)
            sender.join()
        server.join(PATIENCE_S)
        self.assertEqual(seen.digest(), hashlib.sha256(data).digest())

    def test_tcp_to_other_ports_and_other_addresses(self):
        # The host may have the service's address itself and use other ports of it.
        network.ip_batch(
            [self.addressing.service.add(address, "lo") for address in (self.service, self.spare)],
            self.lab.namespace(topology.LB),
        )
        before = self.counters()
        self.expect_echo(self.lb, 22)
        self.expect_echo(self.lb, 8080)
        self.expect_echo(self.lb, topology.MQTT_PORT)  # the service's port, not its address
        self.expect_echo(self.spare, topology.MQTT_PORT)
        self.expect_echo(self.service, 8080)
        after = self.counters()
        self.assertGreater(after["OTHER_TRAFFIC"] - before["OTHER_TRAFFIC"], 100)
        self.assertEqual(
            {name for name in after if after[name] != before[name]}, {"OTHER_TRAFFIC"}
        )

    def test_udp_and_ping(self):
        with namespaces.inside(self.lab.namespace(topology.LB)):
            server = socket.socket(self.family, socket.SOCK_DGRAM)
        with namespaces.inside(self.lab.namespace("client0")):
            client = socket.socket(self.family, socket.SOCK_DGRAM)
        with server, client:
            server.bind((self.lb, 53))
            server.settimeout(PATIENCE_S)
            client.sendto(b"question", (self.lb, 53))
            data, source = server.recvfrom(100)
            self.assertEqual((data, source[0]), (b"question", self.lab.clients.address("client0")))
        ping = namespaces.run(
            self.lab.namespace("client0"),
            ["ping", "-c", "3", "-i", "0.05", "-W", str(PATIENCE_S), self.lb],
            stdout=subprocess.DEVNULL,
        )
        self.assertEqual(ping.returncode, 0)

    def odd_packets(self):
        """[(counter that grows, packet)] of packets to the service, none of which is forwarded."""
        ip = {"src": self.lab.clients.address("client0"), "dst": self.service}
        syn = scapy.TCP(sport=40000, dport=topology.MQTT_PORT, flags="S", seq=1)
        data = scapy.TCP(sport=40000, dport=topology.MQTT_PORT, flags="PA", seq=1) / (b"x" * 64)
        if self.addressing is Addressing.IPV4:
            return [
                ("IP_OPTIONS", scapy.IP(options=[scapy.IPOption_NOP()] * 4, **ip) / syn),
                ("IP_OPTIONS", scapy.IP(options=[scapy.IPOption_RR()], **ip) / data),
                ("FRAGMENT", scapy.IP(flags="MF", id=7, **ip) / syn),
                ("FRAGMENT", scapy.IP(flags="MF", id=8, **ip) / data),
                # Without ports it cannot be recognized as the service's.
                ("OTHER_TRAFFIC", scapy.IP(frag=5, id=8, proto=6, **ip) / (b"y" * 64)),
            ]
        return [
            ("IPV6_EXTENSION", scapy.IPv6(**ip) / scapy.IPv6ExtHdrHopByHop() / syn),
            ("IPV6_EXTENSION", scapy.IPv6(**ip) / scapy.IPv6ExtHdrDestOpt() / data),
            ("IPV6_EXTENSION",
             scapy.IPv6(**ip) / scapy.IPv6ExtHdrHopByHop() / scapy.IPv6ExtHdrDestOpt() / data),
            ("FRAGMENT", scapy.IPv6(**ip) / scapy.IPv6ExtHdrFragment(m=1, id=7) / syn),
            ("FRAGMENT", scapy.IPv6(**ip) / scapy.IPv6ExtHdrFragment(m=1, id=8) / data),
            ("OTHER_TRAFFIC",
             scapy.IPv6(**ip) / scapy.IPv6ExtHdrFragment(offset=8, id=8, nh=6) / (b"y" * 64)),
        ]

    def test_odd_packets_to_the_service_are_counted_and_disturb_nobody(self):
        topic = "measurements/temperature"
        self.teach("client0", topic)
        with namespaces.inside(self.lab.namespace("client0")):
            raw = socket.socket(self.family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        packets = self.odd_packets()
        before = self.counters()
        with raw, MosquittoPub(self.lab, "client0", topic) as publisher:
            for counter, packet in packets:
                self.feed_in_step(publisher, topic, 5)
                raw.sendto(bytes(packet), (self.service, 0))
            self.feed_in_step(publisher, topic, 5)
            publisher.close()
            self.expect_all_delivered()
        after = self.counters()
        grown = {name: after[name] - before[name] for name in after}
        for counter in {counter for counter, _ in packets} - {"OTHER_TRAFFIC"}:
            self.assertEqual(grown[counter], sum(c == counter for c, _ in packets), counter)
        quiet = {"OTHER_TRAFFIC", "SYN", "SYN_PREDICTED", "ESTABLISHED", "CLOSED", "PUBLISH",
                 "JUDGED", *OF_CONDEMNED, *(counter for counter, _ in packets)}
        self.assertEqual({name for name in grown if grown[name]} - quiet, set())


class OtherTrafficIpv6(OtherTraffic):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
