#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""TCP may cut the stream anywhere: 76 bytes a segment, single bytes, a megabyte in one message."""

import fcntl
import os
import socket
import termios
import time

from support import (
    Addressing, Journey, MosquittoPub, PATIENCE_S, Paho, Session, main, mqtt, namespaces,
)
from clients import Npm, PahoCpp, install_npm_client

TOPIC = "measurements/temperature"
MEGABYTE = 1_000_000
MESSAGES = 100  # the last one has a megabyte


class SegmentSizes(Journey):
    clients = 4

    def publish(self, publisher):
        """Publishes messages of all sizes without a pause; all of them are judged."""
        node = publisher.node
        with publisher:
            for number in range(1, MESSAGES):
                publisher.publish(TOPIC, mqtt.message(node, "1", number, number * 3))
            publisher.publish(TOPIC, mqtt.message(node, "1", MESSAGES, MEGABYTE))
            publisher.close()
        self.expect_delivered(node, range(1, MESSAGES + 1))
        sizes = {d.number: len(d.payload) for d in self.deliveries.all() if d.client == node}
        self.assertEqual(sizes[MESSAGES], MEGABYTE)

    def publish_with_each_client(self):
        nodes = self.lab.layout.client_nodes
        for node in nodes:
            self.teach(node, TOPIC)
        publishers = [
            MosquittoPub(self.lab, nodes[0], TOPIC), Paho(self.lab, nodes[1]),
            PahoCpp(self.lab, nodes[2]),
        ]
        if without := install_npm_client():
            print(f"without npm's client: {without}", flush=True)
        else:
            publishers.append(Npm(self.lab, nodes[3]))
        for publisher in publishers:
            with self.subTest(publisher.kind), self.expect_all_judged(MESSAGES, MISPREDICT=0):
                self.publish(publisher)

    def test_full_segments(self):
        self.publish_with_each_client()

    def test_the_smallest_mss_that_linux_takes(self):
        # The broker's SYN-ACK limits the client's segments to 88 bytes, of which timestamps take
        # 12.
        for node in self.lab.layout.broker_nodes:
            for plan in self.addressing.plans:
                namespaces.run(
                    self.lab.namespace(node),
                    ["ip", *plan.route_to_gateway().replace(" add ", " change ").split(),
                     "advmss", "88"], check=True,
                )
        self.publish_with_each_client()

    def send_in_single_bytes(self, session, data):
        def is_acknowledged():
            if error := session.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error))
            return fcntl.ioctl(session.socket, termios.TIOCOUTQ, bytes(4)) == bytes(4)

        for byte in data:
            session.socket.sendall(bytes([byte]))
            # TCP would send bytes that wait together.
            deadline = time.monotonic() + PATIENCE_S
            while not is_acknowledged():
                self.assertLess(time.monotonic(), deadline, "a byte is not acknowledged")

    def test_one_byte_at_a_time(self):
        self.teach("client0", TOPIC)
        count = 20
        with self.expect_all_judged(count, MISPREDICT=0):
            with Session(self.lab, "client0") as session:
                for number in range(1, count + 1):
                    self.send_in_single_bytes(
                        session, mqtt.publish(TOPIC, mqtt.message("client0", "1", number))
                    )
                session.disconnect()
            self.expect_delivered("client0", range(1, count + 1))

    def test_a_mispredict_in_single_bytes(self):
        self.teach("client0", TOPIC)
        with self.expect_all_judged(2, MISPREDICT=1, RESET=1):
            with Session(self.lab, "client0") as session:
                self.send_in_single_bytes(
                    session, mqtt.publish(TOPIC, mqtt.message("client0", "1", 1))
                )
                wrong = mqtt.publish("measurements/humidity", mqtt.message("client0", "1", 2))
                # The client is reset as soon as the topic is complete.
                with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                    self.send_in_single_bytes(session, wrong)
        self.expect_delivered("client0", [1])


class SegmentSizesIpv6(SegmentSizes):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
