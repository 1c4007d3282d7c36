#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Unknown clients go to the router: each message reaches its group, from the first one on.

No client is reset, and none is refused when the daemon is killed, stopped or restarted.
"""

import concurrent.futures
import contextlib
import itertools
import os
import signal

from router_support import HUMIDITY, OTHER, TEMPERATURE, TOPICS, RouterJourney
from support import (
    Addressing, MosquittoPub, Paho, Session, Settings, main, mqtt, namespaces, topology,
)

from lab import forging


class FirstContact(RouterJourney):
    def test_one_shots_of_each_topic_and_quality_arrive_once(self):
        expected = []
        with self.nothing_reset():
            for number, (topic, qos) in enumerate(
                    ((t, q) for t in TOPICS for q in (0, 1, 2)), start=1):
                self.change_address("client0")  # unknown again
                self.assertEqual(self.mosquitto_pub("client0", topic, number, qos=qos), 0)
                expected.append(number)
            self.expect_delivered("client0", expected)
        counters = self.counters()
        self.assertEqual(counters["SYN_PREDICTED"], 0)
        self.assertGreaterEqual(counters["SYN_ROUTED"], len(expected))

    def test_the_next_connection_takes_the_fast_path(self):
        self.assertEqual(self.mosquitto_pub("client0", TEMPERATURE, 1), 0)
        self.wait_until(
            lambda: self.daemon.ask("status")["router"]["connections"] == 0, "the end of it")
        self.assertEqual(
            self.history("SELECT topic, group_name FROM v_clients"),
            [(TEMPERATURE, "temperature")])
        with self.expect_counted(SYN_PREDICTED=1, SYN_ROUTED=0, MISPREDICT=0):
            self.assertEqual(self.mosquitto_pub("client0", TEMPERATURE, 2), 0)
            self.expect_delivered("client0", [1, 2])

    def test_lines_of_one_client_arrive_once(self):
        with self.nothing_reset():
            with MosquittoPub(self.lab, "client0", TEMPERATURE) as publisher:
                self.feed(publisher, TEMPERATURE, 200)
                self.expect_all_delivered()
                publisher.close()

    def test_its_sessions_are_counted_at_their_real(self):
        with Session(self.lab, "client0") as session:
            session.publish(TEMPERATURE, mqtt.message("client0", "1", 1), qos=1, packet_id=1)
            session.read(mqtt.PUBACK)
            rows = self.daemon.ask("reals", "list")["reals"]
            self.assertIn("temperature", {r["group"] for r in rows if r["routed"]})
            session.disconnect()

    def cookies_received(self):
        """How many connections the LB's kernel has opened from a SYN cookie."""
        with namespaces.inside(self.lab.namespace(topology.LB)):
            with open("/proc/thread-self/net/netstat", encoding="ascii") as file:
                names, values = (line.split() for line in file if line.startswith("TcpExt:"))
        return int(values[names.index("SyncookiesRecv")])

    def test_answers_to_syn_cookies_reach_the_router(self):
        always = 2
        namespaces.set_sysctls(
            self.lab.namespace(topology.LB), {"net/ipv4/tcp_syncookies": always})
        with self.nothing_reset(), Session(self.lab, "client0") as session:
            self.assertEqual(self.cookies_received(), 1)
            for number, topic in enumerate(TOPICS, start=1):
                session.publish(topic, mqtt.message("client0", "1", number))
            session.disconnect()
        self.expect_delivered("client0", [1, 2, 3])

    def ways(self):
        """The rules and local routes for the service, in the LB's namespace."""
        option = "-6" if self.addressing is Addressing.IPV6 else "-4"
        found = []
        for what in (["rule", "show"], ["route", "show", "table", "all", "type", "local"]):
            shown = namespaces.run(self.lab.namespace("lb"), ["ip", option, *what],
                                   capture_output=True, text=True, check=True)
            found += [line for line in shown.stdout.splitlines()
                      if self.lab.layout.service_address in line]
        return found

    def test_the_way_there_is_restored_and_goes_with_the_programs(self):
        self.assertEqual(len(self.ways()), 2)
        option = "-6" if self.addressing is Addressing.IPV6 else "-4"
        namespaces.run(self.lab.namespace("lb"),
                       ["ip", option, "rule", "delete", "priority", "115"], check=True)
        self.wait_until(lambda: len(self.ways()) == 2, "the rule to be back")
        self.daemon.throw_away()
        self.assertEqual(self.ways(), [])


class FirstContactIpv6(FirstContact):
    addressing = Addressing.IPV6


class SeveralTopics(RouterJourney):
    def test_a_client_that_alternates_between_groups(self):
        for qos in (0, 1, 2):
            with self.subTest(qos=qos), self.nothing_reset():
                phase = str(qos)
                with Paho(self.lab, "client0", qos=qos) as paho:
                    for _ in range(100):
                        for topic in TOPICS:
                            self.feed(paho, topic, 1, phase=phase)
                    self.expect_all_delivered(phase)
                    paho.close()

    def test_it_stays_with_the_router(self):
        for _ in range(3):
            with self.nothing_reset(), Session(self.lab, "client0") as session:
                for number, topic in enumerate(TOPICS, start=1):
                    session.publish(topic, mqtt.message("client0", "1", number), qos=1,
                                    packet_id=number)
                    session.read(mqtt.PUBACK)
                session.disconnect()
        self.assertEqual(self.counters()["SYN_PREDICTED"], 0)
        self.expect_no_wrong_group()


class KeepsChanging(RouterJourney):
    """A client of the fast path that begins to publish to several groups."""

    settings = Settings(unknown_clients="router", resets_per_client=100)

    def test_it_comes_to_the_router(self):
        self.teach("client0", TEMPERATURE)
        topics = itertools.cycle((HUMIDITY, TEMPERATURE))
        before = self.counters()["SYN_ROUTED"]

        def is_routed():
            with contextlib.suppress(ConnectionResetError), \
                    Session(self.lab, "client0") as session:
                session.publish(next(topics), "m", qos=1, packet_id=1)
                session.read(mqtt.PUBACK)
                session.disconnect()
            return self.counters()["SYN_ROUTED"] > before

        self.wait_until(is_routed, "the router to get the client")
        counters = self.counters()
        self.assertEqual(counters["KEPT_CHANGING"], 0)
        self.assertGreater(counters["MISPREDICT"], 0)
        with self.nothing_reset(), Paho(self.lab, "client0") as paho:
            for _ in range(20):
                for topic in TOPICS:
                    self.feed(paho, topic, 1)
            self.expect_all_delivered()
            paho.close()


class Device(RouterJourney):
    """A client like Tasmota: a Will, telemetry and state in two groups, and commands to it."""

    def test_it_gets_its_commands_and_both_groups_its_messages(self):
        with self.nothing_reset(), Session(
                self.lab, "client0", "device", will=("tele/device/LWT", "Offline")) as device:
            device.send(mqtt.subscribe("cmnd/device/#"))
            device.read(mqtt.SUBACK)
            for number, topic in enumerate((TEMPERATURE, HUMIDITY) * 10, start=1):
                device.publish(topic, mqtt.message("client0", "1", number))
            self.expect_delivered("client0", range(1, 21))
            # The home is in the default group, because the client subscribed before it published.
            home, = {b for b in self.group_brokers["default"] if self.real(b)["routed"]}
            self.assertEqual(namespaces.run(
                self.lab.namespace(home),
                ["mosquitto_pub", "-h", "127.0.0.1", "-t", "cmnd/device/POWER", "-m", "ON"],
            ).returncode, 0)
            self.assertIn(b"cmnd/device/POWER", device.read(mqtt.PUBLISH))
            device.disconnect()


class OneAddress(RouterJourney):
    """Clients with one topic each behind one address."""

    CLIENTS = 200

    def test_all_of_them_are_right_from_the_first_message_on(self):
        with self.nothing_reset(), contextlib.ExitStack() as stack:
            sessions = []
            for number in range(self.CLIENTS):
                session = stack.enter_context(Session(self.lab, "client0", f"c{number}"))
                sessions.append(session)
                topic = (*TOPICS, "a/b", "c")[number % 5]
                for count in range(5):
                    session.publish(topic, mqtt.message(f"c{number}", "1", count))
            for number in range(self.CLIENTS):
                self.deliveries.wait_for_count(5, f"c{number}", "1")
            self.deliveries.settle()
            self.assertEqual(
                sorted((d.client, d.number) for d in self.deliveries.all()),
                sorted((f"c{n}", c) for n in range(self.CLIENTS) for c in range(5)))
            self.expect_no_wrong_group()


class Brokers(RouterJourney):
    """A routed client does not notice when its broker is drained or dies."""

    settings = Settings(
        unknown_clients="router",
        groups={"temperature": [1, 2], "humidity": [3, 4], "default": [5, 6]})

    def setUp(self):
        super().setUp()
        self.paho = Paho(self.lab, "client0", qos=1)
        self.addCleanup(self.paho.kill)
        self.feed_in_step(self.paho, TEMPERATURE, 1)

    def feed_both(self, phase):
        for _ in range(5):
            self.feed(self.paho, TEMPERATURE, 1, phase=phase)
            self.feed(self.paho, HUMIDITY, 1, phase=phase)
        self.expect_all_delivered(phase)
        return {d.broker for d in self.deliveries.all()
                if d.phase == phase and d.topic == HUMIDITY}

    def test_sessions_leave_a_drained_broker(self):
        with self.nothing_reset(), self.expect_counted(SYN_ROUTED=0):
            before, = self.feed_both("before")
            address = self.lab.layout.broker_address(topology.number_of(before))
            self.daemon.ask("reals", "drain", address)
            self.wait_until(lambda: self.real(before)["routed"] == 0, "its sessions to leave")
            self.assertNotIn(before, self.feed_both("drained"))

    def test_another_broker_takes_over_from_a_dead_one(self):
        with self.nothing_reset(), self.expect_counted(SYN_ROUTED=0):
            before, = self.feed_both("before")
            self.lab.brokers.kill(before)
            self.assertNotIn(before, self.feed_both("dead"))


class Flood(RouterJourney):
    """Forged SYNs of unknown clients reach the router, and others notice nothing."""

    clients = 3
    FORGED = 20_000

    def test_known_clients_and_routed_ones_go_on(self):
        self.teach("client1", TEMPERATURE)
        with Paho(self.lab, "client1", qos=1) as known, \
                Paho(self.lab, "client2", qos=1) as routed, \
                forging.Forger(self.lab, "client0") as forger, \
                self.expect_counted(RESET=0, MISPREDICT=0):
            for paho in (known, routed):
                self.feed_in_step(paho, TEMPERATURE, 1)
            for number, source in enumerate(forging.addresses("10.9.0.0/16", self.FORGED)):
                forger.send(source, 40000, 1000, 0, forging.SYN)
                if number % 200 == 0:
                    self.feed(known, TEMPERATURE, 1)
                    self.feed(routed, TEMPERATURE, 1)
                    self.feed(routed, HUMIDITY, 1)
            self.expect_all_delivered()
            known.close()
            routed.close()
        counters = self.counters()
        self.assertGreater(counters["ROUTER_RATE"], 0)
        self.assertGreaterEqual(counters["SYN_UNKNOWN"], self.FORGED)


class Daemon(RouterJourney):
    """Without a daemon an unknown client goes to the default group as usual."""

    clients = 20

    def publish_while_stopped(self):
        """Each client publishes once, until one needs no daemon; all of them are served."""
        pid = self.daemon.process()["pid"]
        with concurrent.futures.ThreadPoolExecutor(max_workers=self.clients) as pool:
            os.kill(pid, signal.SIGSTOP)
            try:
                publishing = []
                for number in range(1, self.clients):
                    publishing.append(
                        pool.submit(self.mosquitto_pub, f"client{number}", OTHER, 1))
                    done, _ = concurrent.futures.wait(publishing, timeout=1)
                    if done:
                        break
                self.assertTrue(done, "every client waits for the stopped daemon")
            finally:
                os.kill(pid, signal.SIGCONT)
            self.assertEqual({each.result() for each in publishing}, {0})
        for number in range(1, len(publishing) + 1):
            self.expect_delivered(f"client{number}", [1])

    def publish_anything(self, number):
        self.change_address("client0")
        self.assertEqual(self.mosquitto_pub("client0", OTHER, number), 0)

    def test_no_client_is_refused_while_it_is_killed_stopped_or_restarting(self):
        self.publish_anything(1)
        self.publish_while_stopped()
        self.daemon.kill()
        self.publish_anything(2)
        self.daemon.start()
        self.publish_anything(3)
        self.wait_for_router()
        self.publish_anything(4)
        self.deliveries.wait_for_count(4, "client0", "1")
        self.assertEqual(sorted(self.numbers("client0")), [1, 2, 3, 4])
        self.expect_no_wrong_group()


if __name__ == "__main__":
    main()
