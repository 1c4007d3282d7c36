#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A broker runs, but gets no packets: its decapsulation is stopped, or the service address is gone
from its lo. It is found dead as if it had ended, and its clients come back elsewhere. Once it is
repaired it is found alive."""

from support import (
    Addressing, CHECK_TIMEOUT_S, HEALTH, Journey, Session, Settings, main, mqtt, network,
)

TOPIC = "anything"


class DecapStopped(Journey):
    brokers = 2
    settings = Settings(groups={"default": [1, 2]}, routes=(), health=HEALTH)

    def connect(self, phase):
        """A connection that has published, and the broker that it is on."""
        session = Session(self.lab, "client0", "client0")
        self.addCleanup(session.close)
        session.publish(TOPIC, mqtt.message("client0", phase, 1), qos=1, packet_id=1)
        session.read(mqtt.PUBACK)
        self.wait_for_number("client0", 1, phase)
        return session, self.brokers_that_got("client0", phase).pop()

    def expect_found(self, spoil, repair):
        # Wait until each broker has been checked and is alive.
        for node in self.lab.layout.broker_nodes:
            self.wait_until(lambda node=node: (self.real(node)["health"]["last"] or {}).get("good"),
                            f"a good check of {node}")
        session, home = self.connect("before")
        other = ({"broker1", "broker2"} - {home}).pop()

        spoil(home)
        self.wait_for_state(home, "dead")
        # An idle client is reset as well.
        self.assertTrue(session.wait_for_reset(), "the client was not reset")
        self.assertEqual(self.real(home)["health"]["last"]["what"], 
                         f"no answer within {CHECK_TIMEOUT_S} s")
        self.assertEqual(self.real(other)["state"], "enabled")
        self.assertEqual(self.daemon.own_counters()["severed"], 1)
        _, now = self.connect("while")
        self.assertEqual(now, other)

        repair(home)
        self.wait_for_state(home, "enabled")
        self.assertGreater(self.real(home)["effective_weight"], 0)

    def test_the_last_one_keeps_its_connections_until_another_is_back(self):
        session, home = self.connect("before")
        other = ({"broker1", "broker2"} - {home}).pop()
        self.lab.decapsulation.stop(other)
        self.wait_for_state(other, "dead")
        self.lab.decapsulation.stop(home)
        self.wait_for_state(home, "dead")
        self.assertGreater(self.real(home)["effective_weight"], 0)
        self.assertEqual(self.daemon.own_counters()["severed"], 0)
        self.assertEqual(session.read_available(), [])

        self.lab.decapsulation.start(other)
        self.wait_for_state(other, "enabled")
        self.assertTrue(session.wait_for_reset(), "the client was not reset")
        self.assertEqual(self.real(home)["effective_weight"], 0)

    def test_the_decapsulation_is_stopped(self):
        self.expect_found(self.lab.decapsulation.stop, self.lab.decapsulation.start)

    def test_the_service_address_is_not_on_lo(self):
        service = self.addressing.service
        self.expect_found(
            lambda node: network.ip_batch(
                [service.delete(service.service, "lo")], self.lab.namespace(node)),
            lambda node: network.ip_batch(
                [service.add(service.service, "lo")], self.lab.namespace(node)),
        )


class Briefly(DecapStopped):
    """Only the path of the checks differs here, so one test is enough."""

    test_the_last_one_keeps_its_connections_until_another_is_back = None
    test_the_service_address_is_not_on_lo = None


class DecapStoppedByTcp(Briefly):
    settings = Settings(groups={"default": [1, 2]}, routes=(), health=f'check = "tcp"\n{HEALTH}')


class DecapStoppedOverIpv6(Briefly):
    addressing = Addressing.IPV6


class DecapStoppedIpv4OverIpv6(Briefly):
    addressing = Addressing.IPV4_OVER_IPV6


del Briefly  # not a test itself


if __name__ == "__main__":
    main()
