#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Power comes back in a whole region: five thousand known clients connect at once, publish one
message each, and disconnect."""

import collections
import contextlib
import resource
import selectors
import socket
import sqlite3
import time

from support import Journey, PATIENCE_S, main, mqtt, namespaces, network, topology

CLIENTS = 5000
NODE = "client0"
NETWORK = "10.64.0.0/16"  # all clients; client0 answers for each address
TOPICS = ("measurements/temperature", "measurements/humidity", "measurements/other")


def address(number):
    return f"10.64.{number >> 8}.{number & 255}"


def topic(number):
    return TOPICS[number % len(TOPICS)]


class Client:
    """One connection that goes by itself from the SYN to the broker's FIN."""

    def __init__(self, number, service):
        self._number = number
        self._service = service
        self._walker = mqtt.Walker()
        self.packets = []  # kinds, in order of arrival
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.socket.bind((address(number), 0))

    def connect(self):
        with contextlib.suppress(BlockingIOError):
            self.socket.connect(self._service)

    def greet(self):
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"client {self._number} cannot connect")
        self.socket.send(mqtt.connect(f"storm{self._number}"))

    def take(self):
        """Reads, and answers. Returns whether the broker has closed the connection."""
        data = self.socket.recv(1 << 12)
        if not data:
            self.socket.close()
            return True
        for first, _ in self._walker.feed(data):
            self.packets.append(first >> 4)
            if first >> 4 == mqtt.CONNACK:
                message = mqtt.message(f"storm{self._number}", "storm", 1)
                self.socket.send(mqtt.publish(topic(self._number), message, qos=1, packet_id=1))
            else:
                self.socket.send(mqtt.disconnect())
        return False


def play(clients):
    """All connect at once; returns when every broker has closed its connection."""
    deadline = time.monotonic() + PATIENCE_S
    for client in clients:
        client.connect()
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_WRITE, client)
        while selector.get_map():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(selector.get_map())} clients are not done")
            for key, events in selector.select(timeout=1):
                if events & selectors.EVENT_WRITE:
                    key.data.greet()
                    selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
                else:
                    fileobj = key.fileobj
                    selector.unregister(fileobj)
                    if not key.data.take():
                        selector.register(fileobj, selectors.EVENT_READ, key.data)


class Storm(Journey):
    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        gateway = self.lab.namespace(topology.GATEWAY)
        via = self.lab.layout.client_address(0)
        network.ip_batch([f"route add {NETWORK} via {via} dev c0 onlink"], gateway)
        network.ip_batch([f"route add local {NETWORK} dev lo"], self.lab.namespace(NODE))

    def remember_clients(self):
        """As if each had published before: remorad starts with their predictions."""
        self.daemon.throw_away()
        now_ms = int(time.time() * 1000)
        service = f"{self.lab.layout.service_address}:{topology.MQTT_PORT}"
        rows = [
            (address(number), service, topic(number), "default", now_ms, now_ms, now_ms, 1, number)
            for number in range(CLIENTS)
        ]
        with contextlib.closing(sqlite3.connect(self.daemon.config.history)) as database, database:
            database.executemany(
                "INSERT INTO clients (client, service, topic, group_name, first_seen, last_seen,"
                " topic_since, lesson_time, seen_age) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            database.execute("UPDATE state SET age_ms = max(age_ms, ?)", (CLIENTS,))
        self.daemon.start()
        self.wait_until(
            lambda: self.daemon.status()["tables"]["predictions"]["used"] == CLIENTS,
            "the predictions of all clients")

    def test_five_thousand_known_clients_at_once_all_reach_their_groups(self):
        self.remember_clients()
        with namespaces.inside(self.lab.namespace(NODE)):
            service = (self.lab.layout.service_address, topology.MQTT_PORT)
            clients = [Client(number, service) for number in range(CLIENTS)]
        with self.expect_counted(
            ESTABLISHED=CLIENTS, PUBLISH=CLIENTS, SYN_UNKNOWN=0, MISPREDICT=0, RESET=0, NO_FLOW=0,
        ):
            play(clients)

        kinds = collections.Counter(tuple(client.packets) for client in clients)
        self.assertEqual(kinds, {(mqtt.CONNACK, mqtt.PUBACK): CLIENTS})
        self.deliveries.wait_for_count(CLIENTS, phase="storm")
        self.deliveries.settle()
        got = collections.Counter((d.client, d.topic) for d in self.deliveries.all())
        self.assertEqual(
            got, {(f"storm{number}", topic(number)): 1 for number in range(CLIENTS)})
        self.expect_no_wrong_group()


if __name__ == "__main__":
    main()
