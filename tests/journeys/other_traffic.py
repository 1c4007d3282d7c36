#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Everything that is not for the service reaches the load balancer's own host untouched."""

import hashlib
import os
import socket
import subprocess
import threading

from support import Journey, main, namespaces, network, topology

MEGABYTES = 4


class OtherTraffic(Journey):
    def setUp(self):
        super().setUp()
        plan = self.addressing.service
        self.family, self.lb, self.service = plan.family, plan.lb, plan.service
        self.spare = plan.address(50, 250)  # beside the service's address, and nobody's so far

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
        """Megabytes there and back, in full segments and so through segmentation and GRO too."""
        data = os.urandom(MEGABYTES << 20)
        server = self.listen(address, port)
        with namespaces.inside(self.lab.namespace("client0")):
            client = socket.socket(self.family)
        with client:
            client.settimeout(20)
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
        server.join(10)
        self.assertEqual(seen.digest(), hashlib.sha256(data).digest())

    def test_tcp_to_other_ports_and_other_addresses(self):
        # The host may have the service's address itself, for its other ports.
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
            server.settimeout(5)
            client.sendto(b"question", (self.lb, 53))
            data, source = server.recvfrom(100)
            self.assertEqual((data, source[0]), (b"question", self.lab.client_address("client0")))
        ping = namespaces.run(
            self.lab.namespace("client0"),
            ["ping", "-c", "3", "-i", "0.05", "-W", "2", self.lb],
            stdout=subprocess.DEVNULL,
        )
        self.assertEqual(ping.returncode, 0)


if __name__ == "__main__":
    main()
