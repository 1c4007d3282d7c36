#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `[router]` and the keys of groups and reals change for routed clients."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess

from router_support import HUMIDITY, OTHER, TEMPERATURE, TOPICS, RouterJourney
from support import (
    Addressing, MosquittoPub, Paho, Session, Settings, main, mqtt, namespaces, topology,
)


def with_router(**keys):
    """A configuration that routes unknown clients, with these keys of [router]."""
    lines = [f"{key} = {value}" for key, value in keys.items()]
    return Settings(unknown_clients="router", extra="\n".join(["[router]", *lines]))


class SubscribesToAll(RouterJourney):
    """A subscriber sees the messages of every group, once each."""

    clients = 2
    brokers = 3
    settings = with_router(subscribe='"all"')

    def test_it_gets_the_messages_of_all_groups(self):
        with Session(self.lab, "client0", "subscriber") as subscriber, \
                Paho(self.lab, "client1", qos=1) as publisher, self.nothing_reset():
            for packet_id, topic in enumerate(TOPICS, start=1):
                subscriber.send(mqtt.subscribe(topic, packet_id=packet_id))
                answer = subscriber.read(mqtt.SUBACK)
                self.assertEqual(answer, packet_id.to_bytes(2, "big") + b"\0")
            for _ in range(10):
                for topic in TOPICS:
                    self.feed(publisher, topic, 1)
            self.expect_all_delivered()
            received = [mqtt.published(0x30, subscriber.read(mqtt.PUBLISH))
                        for _ in range(10 * len(TOPICS))]
            publisher.close()
            self.assertEqual(
                sorted(mqtt.parse_message(payload)[2] for _, payload in received),
                list(range(1, 10 * len(TOPICS) + 1)))
            self.assertEqual({topic for topic, _ in received}, set(TOPICS))
            self.assertEqual(
                [packet for packet in subscriber.read_available() if packet[0] >> 4 != 13], [])


class SuffixedIdentifier(RouterJourney):
    brokers = 3
    settings = with_router(further_sessions='"suffixed-id"')
    # $@ is the broker's command: mosquitto -c FILE. What it writes to stdout is buffered.
    VERBOSE = ("sed 's/^log_type warning/log_type all/; s/^log_dest stdout/log_dest stderr/' "
               "\"$3\" > \"$3.verbose\" && exec \"$1\" -c \"$3.verbose\"")

    def identifiers(self, node):
        """The client identifiers that the broker of `node` has accepted."""
        log = pathlib.Path(self.lab.brokers.log(node)).read_text(encoding="utf-8")
        return {line.split("CONNACK to ")[1].split(" ")[0]
                for line in log.splitlines() if "Sending CONNACK to " in line}

    def test_further_brokers_see_the_group_in_the_identifier(self):
        for node in self.lab.layout.broker_nodes:
            self.lab.brokers.kill(node)
            self.lab.brokers.start(node, ["/bin/sh", "-c", self.VERBOSE, "sh"])
        self.deliveries.settle()
        with Session(self.lab, "client0", "device") as session:
            for number, topic in enumerate(TOPICS, start=1):
                session.publish(topic, mqtt.message("client0", "1", number), qos=1,
                                packet_id=number)
                session.read(mqtt.PUBACK)
            session.disconnect()
        self.expect_delivered("client0", [1, 2, 3])
        for group, suffix in (("temperature", ""), ("humidity", "-humidity"),
                              ("default", "-default")):
            broker, = self.group_brokers[group]
            self.assertIn("device" + suffix, self.identifiers(broker))


class Workers(RouterJourney):
    settings = with_router(workers=3)

    def test_each_connection_is_served_by_one_of_them(self):
        pid = self.daemon.process()["pid"]
        names = [pathlib.Path(f"/proc/{pid}/task/{task}/comm").read_text(encoding="ascii").strip()
                 for task in os.listdir(f"/proc/{pid}/task")]
        self.assertEqual(names.count("router"), 3)
        with self.nothing_reset(), contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(Session(self.lab, "client0", f"c{number}"))
                        for number in range(60)]
            self.wait_until(lambda: self.router()["connections"] == 60, "all to be counted")
            for count in range(3):
                for number, session in enumerate(sessions):
                    session.publish(TOPICS[(number + count) % 3],
                                    mqtt.message(f"c{number}", "1", count))
            for number in range(60):
                self.expect_delivered(f"c{number}", range(3))


class FewConnections(RouterJourney):
    """Above a limit clients take the usual way, and a counter says why."""

    settings = with_router(connections=2)

    def test_further_clients_take_the_usual_way(self):
        with Session(self.lab, "client0", "a"), Session(self.lab, "client0", "b"):
            self.wait_until(lambda: self.router()["connections"] == 2, "both to be counted")
            numbers = iter(range(1, 1000))
            sent = []

            def is_full():
                sent.append(next(numbers))
                self.assertEqual(self.mosquitto_pub("client0", OTHER, sent[-1]), 0)
                return self.counters()["ROUTER_FULL"] > 0

            self.wait_until(is_full, "a client that finds no room")
            self.expect_delivered("client0", sent)


class LittleMemory(RouterJourney):
    """Stalled brokers: memory stays bounded, others are served, and nothing is lost."""

    CLIENTS = 60
    MEMORY = 16 << 20
    # What each connection may have in any case.
    OWN = 16 << 10
    SIZE = 10_000
    SMALL_BUFFERS = "4096 65536 65536"

    clients = 2
    settings = with_router(memory_mib=MEMORY >> 20)

    def setUp(self):
        super().setUp()
        # Otherwise the kernel's buffers take hundreds of megabytes before the router gets any.
        for node in (topology.LB, "client0", *self.lab.layout.broker_nodes):
            namespaces.set_sysctls(self.lab.namespace(node), {
                "net/ipv4/tcp_rmem": self.SMALL_BUFFERS, "net/ipv4/tcp_wmem": self.SMALL_BUFFERS})

    def stop_brokers(self, group):
        processes = [self.lab.brokers.process(node)["pid"] for node in self.group_brokers[group]]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        return processes

    def test_it_is_bounded_and_nothing_is_lost(self):
        with contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(Session(self.lab, "client0", f"c{number}"))
                        for number in range(self.CLIENTS)]
            for number, session in enumerate(sessions):
                session.publish(TEMPERATURE, mqtt.message(f"c{number}", "1", 0))
                self.deliveries.wait_for_count(1, f"c{number}", "1")
            stopped = self.stop_brokers("temperature")
            writers = [Writer(f"c{number}", session, self.SIZE)
                       for number, session in enumerate(sessions)]

            def is_full():
                for writer in writers:
                    writer.write()
                return self.router()["memory_bytes"] >= self.MEMORY

            self.wait_until(is_full, "the router's memory to be full")
            with self.expect_counted(RESET=0):
                self.wait_until(self.is_turned_away, "a client that finds no room")
            most = self.MEMORY + self.CLIENTS * (self.OWN + 2 * self.SIZE)
            self.assertLess(self.router()["memory_bytes"], most)
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            for writer in writers:
                writer.finish()
                self.expect_delivered(writer.client, range(writer.count + 1))
            self.wait_until(lambda: self.router()["memory_bytes"] < self.MEMORY // 4,
                            "its memory to be free again")

    def is_turned_away(self):
        self.change_address("client1")
        self.assertEqual(self.mosquitto_pub("client1", OTHER, 1), 0)
        return self.counters()["ROUTER_FULL"] > 0


class Writer:
    """Publishes as much as the socket takes."""

    def __init__(self, client, session, size):
        self.client = client
        self.count = 0
        self._session = session
        self._size = size
        self._rest = b""

    def write(self):
        self._session.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                if not self._rest:
                    self.count += 1
                    self._rest = mqtt.publish(
                        TEMPERATURE, mqtt.message(self.client, "1", self.count, self._size))
                self._rest = self._rest[self._session.socket.send(self._rest):]

    def finish(self):
        self._session.socket.settimeout(60)
        self._session.socket.sendall(self._rest)
        self._rest = b""


class OwnPort(RouterJourney):
    """A broker that the router reaches at another port than the service's."""

    brokers = 3
    settings = Settings(unknown_clients="router",
                        router_ports={n: topology.OTHER_MQTT_PORT for n in (1, 2, 3)})

    def test_sessions_go_to_that_port(self):
        with Session(self.lab, "client0") as session:
            for number, topic in enumerate(TOPICS, start=1):
                session.publish(topic, mqtt.message("client0", "1", number), qos=1,
                                packet_id=number)
                session.read(mqtt.PUBACK)
            for node in self.lab.layout.broker_nodes:
                self.assertEqual(len(peers_at(self, node, topology.OTHER_MQTT_PORT)), 1)
                self.assertEqual(self.real(node)["routed"], 1)
            session.disconnect()
        self.expect_delivered("client0", [1, 2, 3])


def peers_at(journey, node, port):
    """The addresses that have connections to `port` of a broker, one for each of these."""
    shown = namespaces.run(
        journey.lab.namespace(node), ["ss", "-Htn", "state", "established", f"sport = :{port}"],
        capture_output=True, text=True, check=True).stdout
    peers = [line.split()[-1].rpartition(":")[0].strip("[]") for line in shown.splitlines()]
    return [peer.removeprefix("::ffff:") for peer in peers]


class Sources(RouterJourney):
    """Sessions go out from several addresses of the LB."""

    clients = 1
    brokers = 3

    def test_sessions_are_spread_over_them(self):
        plan = self.addressing.reals
        sources = [plan.address(2, number) for number in (7, 8)]
        for source in sources:
            namespaces.run(self.lab.namespace(topology.LB),
                           ["ip", "address", "add", f"{source}/{plan.network_bits}", "dev", "eth0",
                            *(["nodad"] if plan.version == 6 else [])], check=True)
        self.configure(Settings(
            unknown_clients="router", extra=f"[router]\nsources = {sources}".replace("'", '"')))
        self.reload("reloaded")
        broker, = self.group_brokers["default"]
        with contextlib.ExitStack() as stack:
            for number in range(20):
                session = stack.enter_context(Session(self.lab, "client0", f"c{number}"))
                session.publish(OTHER, mqtt.message(f"c{number}", "1", 1))
                self.expect_delivered(f"c{number}", [1])
            self.assertEqual(
                set(peers_at(self, broker, topology.MQTT_PORT)) - {"127.0.0.1"}, set(sources))


class SourcesIpv6(Sources):
    addressing = Addressing.IPV6


class ProxyHeader(RouterJourney):
    """Brokers that want it are told the client's address."""

    brokers = 3
    settings = Settings(unknown_clients="router", proxy_ports={"temperature": 1885})

    def test_brokers_learn_the_clients_address(self):
        broker, = self.group_brokers["temperature"]
        script = pathlib.Path(__file__).with_name("proxy_listener.py")
        listener = namespaces.spawn(
            self.lab.namespace(broker), ["/usr/bin/python3", str(script), "1885", "1883"],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(listener.stdout.close)
        self.addCleanup(listener.wait)
        self.addCleanup(listener.kill)
        self.assertEqual(listener.stdout.readline(), "ready\n")
        with self.nothing_reset(), Session(self.lab, "client0") as session:
            port = session.socket.getsockname()[1]
            for number, topic in enumerate((TEMPERATURE, HUMIDITY) * 5, start=1):
                session.publish(topic, mqtt.message("client0", "1", number), qos=1,
                                packet_id=number)
                session.read(mqtt.PUBACK)
            self.assertEqual(
                listener.stdout.readline(), f"{self.lab.clients.address('client0')} {port}\n")
            session.disconnect()
        self.expect_delivered("client0", range(1, 11))


class ProxyHeaderIpv6(ProxyHeader):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
