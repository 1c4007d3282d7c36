#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What happens to routed connections when routes, brokers or the daemon change."""

import contextlib
import time

from router_support import HUMIDITY, OTHER, TEMPERATURE, RouterJourney
from support import Paho, Session, Settings, main, mqtt, namespaces, topology


class Reload(RouterJourney):
    def test_a_living_connection_goes_by_the_new_routes(self):
        with self.expect_counted(SYN_ROUTED=1), self.nothing_reset(), \
                Paho(self.lab, "client0", qos=1) as paho:
            self.feed_in_step(paho, TEMPERATURE, 3)
            self.assertLessEqual(self.brokers_that_got("client0"), self.group_brokers["temperature"])

            self.configure(Settings(unknown_clients="router", routes=((TEMPERATURE, "humidity"),)))
            self.reload("reloaded")
            self.feed_in_step(paho, TEMPERATURE, 3, phase="2")
            paho.close()
        self.assertEqual(sorted(self.numbers("client0", "2")), [1, 2, 3])
        self.assertLessEqual(self.brokers_that_got("client0", "2"), self.group_brokers["humidity"])

    def test_a_service_can_be_routed_from_a_reload_on(self):
        self.configure(Settings(unknown_clients="default"))
        self.reload("reloaded")
        with self.expect_counted(SYN_ROUTED=0):
            self.assertEqual(self.mosquitto_pub("client0", OTHER, 1), 0)
        self.configure(Settings(unknown_clients="router"))
        self.reload("reloaded")
        self.change_address("client0")
        with self.expect_counted(SYN_ROUTED=1):
            self.assertEqual(self.mosquitto_pub("client0", TEMPERATURE, 2), 0)
        self.expect_delivered("client0", [1, 2])


class Evacuation(RouterJourney):
    """A drained broker keeps homes that cannot move; an evacuated one does not."""

    WILL = ("wills/device", "gone")

    def setUp(self):
        super().setUp()
        self.device = self.open_device()
        self.home, = self.routed_at("default")

    def open_device(self):
        """A client whose subscription ties it to its broker."""
        device = Session(self.lab, "client0", "device", will=self.WILL)
        self.addCleanup(device.close)
        device.send(mqtt.subscribe("cmnd/device/#"))
        device.read(mqtt.SUBACK)
        return device

    def ask(self, what, *options):
        self.daemon.ask("reals", what, self.lab.layout.broker_address(
            topology.number_of(self.home)), *options)

    def command(self, broker):
        """Publishes at a broker what the device has subscribed to."""
        namespaces.run(self.lab.namespace(broker),
                       ["mosquitto_pub", "-h", "127.0.0.1", "-t", "cmnd/device/POWER", "-m", "ON"],
                       check=True)

    def test_it_stays_at_a_drained_broker(self):
        self.ask("drain")
        with Session(self.lab, "client0", "another") as another:  # it is elsewhere from now on
            self.wait_until(
                lambda: self.routed_at("default").keys() == self.group_brokers["default"],
                "a session at the other broker")
            another.disconnect()
        self.command(self.home)
        self.assertIn(b"cmnd/device/POWER", self.device.read(mqtt.PUBLISH))

    def test_it_comes_back_elsewhere_from_an_evacuated_broker(self):
        self.ask("evacuate", "--per-second", "10")
        with self.assertRaises(ConnectionError) as ended:
            self.device.read(mqtt.PUBLISH)
        self.assertNotIsInstance(ended.exception, ConnectionResetError)
        self.wait_until(lambda: self.real(self.home)["routed"] == 0, "its session to end")

        device = self.open_device()
        broker, = self.routed_at("default")
        self.assertNotEqual(broker, self.home)
        self.command(broker)
        self.assertIn(b"cmnd/device/POWER", device.read(mqtt.PUBLISH))
        self.deliveries.settle()
        self.assertEqual([d for d in self.deliveries.all() if d.topic.startswith("wills/")], [])

    def test_a_client_that_only_publishes_does_not_notice(self):
        with self.expect_counted(SYN_ROUTED=1), self.nothing_reset(), \
                Paho(self.lab, "client0") as paho:
            self.feed_in_step(paho, OTHER, 1)
            self.home, = self.brokers_that_got("client0")
            self.ask("evacuate", "--per-second", "1000")
            self.wait_until(lambda: self.real(self.home)["routed"] == 0, "its sessions to leave")
            self.feed_in_step(paho, OTHER, 3, phase="2")
            paho.close()
        self.expect_all_delivered("2")
        self.assertNotIn(self.home, self.brokers_that_got("client0", "2"))


class PersistentSession(RouterJourney):
    """Its home is found again, also by another daemon."""

    brokers = 3

    def connect(self, *packets):
        """CONNECT of a persistent session and more at once; whether the broker had it."""
        session = Session(self.lab, "client0", "persistent", clean=False, followed_by=packets)
        self.addCleanup(session.close)
        return session

    def end(self, session):
        session.disconnect()
        self.wait_until(lambda: self.router()["connections"] == 0, "the end of the connection")

    def test_its_home_survives_the_daemon(self):
        session = self.connect(mqtt.publish(HUMIDITY, mqtt.message("client0", "1", 1)))
        self.assertFalse(session.was_present)
        session.send(mqtt.subscribe(HUMIDITY + "/get", qos=1))
        session.read(mqtt.SUBACK)
        self.end(session)
        home, = self.group_brokers["humidity"]
        namespaces.run(self.lab.namespace(home), [
            "mosquitto_pub", "-h", "127.0.0.1", "-t", HUMIDITY + "/get", "-q", "1",
            "-m", "queued"],
            check=True)
        self.forget_client()

        self.daemon.stop()
        self.assertEqual(self.history("SELECT client_id, group_name FROM homes"),
                         [("persistent", "humidity")])
        self.daemon.start()
        self.wait_for_router()

        session = self.connect()
        self.assertTrue(session.was_present)
        self.assertIn(b"queued", session.read(mqtt.PUBLISH))
        self.assertEqual(self.routed_at("humidity"), {home: 1})
        session.disconnect()
        self.deliveries.wait_for_count(1, "client0")
        self.assertEqual(self.numbers("client0"), [1])
        self.assertEqual(self.brokers_that_got("client0"), {home})

    def forget_client(self):
        """An address that nothing is predicted for."""
        self.change_address("client0")


class Detach(RouterJourney):
    CLIENTS = 100

    def test_routed_connections_end_with_the_programs(self):
        with contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(Session(self.lab, "client0", f"c{number}"))
                        for number in range(self.CLIENTS)]
            self.wait_until(lambda: self.router()["connections"] == self.CLIENTS, "all of them")
            self.daemon.throw_away()
            for session in sessions:
                with self.assertRaises(ConnectionError):
                    session.read(mqtt.PUBLISH)


class Killed(RouterJourney):
    """The daemon is killed: routed clients see an end, and nobody else notices."""

    CLIENTS = 100
    clients = 2

    def test_routed_clients_see_an_end_and_others_do_not_notice(self):
        self.teach("client1", TEMPERATURE)
        with Paho(self.lab, "client1", qos=1) as known, contextlib.ExitStack() as stack:
            self.feed_in_step(known, TEMPERATURE, 1)
            sessions = [stack.enter_context(Session(self.lab, "client0", f"c{number}"))
                        for number in range(self.CLIENTS)]
            with self.expect_counted(SYN_PREDICTED=0):
                self.daemon.kill()
                began = time.monotonic()
                for session in sessions:
                    with self.assertRaises(ConnectionError):
                        session.read(mqtt.PUBLISH)
                print(f"the last of {self.CLIENTS} ended after "
                      f"{(time.monotonic() - began) * 1000:.0f} ms")
                for number in range(self.CLIENTS):  # they come back, to the default group
                    with Session(self.lab, "client0", f"c{number}") as session:
                        session.disconnect()
                self.feed_in_step(known, TEMPERATURE, 3)
                self.daemon.start()
                self.feed_in_step(known, TEMPERATURE, 3)
                known.close()
            self.expect_all_delivered()


if __name__ == "__main__":
    main()
