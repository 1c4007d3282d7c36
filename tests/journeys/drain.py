#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A broker is drained: its connections stay and new ones go elsewhere, also after a restart of
remorad."""

import dataclasses
import os

from support import Journey, Paho, Settings, config, main, topology, with_forwarders

TOPIC = "measurements/temperature"


class Drain(Journey):
    clients = 2
    settings = Settings(groups={"temperature": [1, 2], "humidity": [3, 4], "default": [5, 6]})

    def setUp(self):
        super().setUp()
        self.teach("client0", TOPIC)
        self.living = Paho(self.lab, "client0")
        self.addCleanup(self.living.kill)
        self.feed(self.living, TOPIC, 5)
        self.expect_all_delivered()
        self.home, = self.brokers_that_got("client0")
        self.others = self.group_brokers["temperature"] - {self.home}

    def address(self, broker):
        return self.lab.layout.broker_address(topology.number_of(broker))

    def connect_often(self, phase, times=6):
        """Opens connections from different ports; returns the brokers that got them."""
        self.teach("client1", TOPIC)
        for number in range(times):
            self.mosquitto_pub("client1", TOPIC, number, phase=phase, qos=1)
        self.expect_delivered("client1", range(times), phase)
        return self.brokers_that_got("client1", phase)

    def expect_orders(self, *orders):
        """Waits until the history has these (request, error), given by the user of this process."""
        expected = [(what, os.getuid(), self.address(self.home), error) for what, error in orders]
        self.wait_until(
            lambda: self.history("SELECT what, uid, real, error FROM operations ORDER BY id")
            == expected, "the orders in the history")

    def expect_the_living_one_at_home(self, phase):
        self.feed(self.living, TOPIC, 5, phase=phase)
        self.expect_delivered("client0", range(1, 6), phase)
        self.assertEqual(self.brokers_that_got("client0", phase), {self.home})

    def test_a_drained_broker_keeps_its_connections_and_gets_no_new_ones(self):
        with self.expect_counted(MISPREDICT=0, RESET=0):
            changed = self.daemon.ask("reals", "drain", self.address(self.home))["reals"]
            self.assertEqual([(row["group"], row["state"]) for row in changed],
                             [("temperature", "draining")])
            self.expect_the_living_one_at_home("drained")
        self.assertEqual(self.connect_often("drained"), self.others)
        self.wait_until(lambda: self.real(self.home)["flows"] == 1, "the count of its flows")

        self.daemon.stop()
        self.daemon.start()
        self.assertEqual(self.real(self.home)["state"], "draining")
        self.expect_the_living_one_at_home("restarted")
        self.assertEqual(self.connect_often("restarted"), self.others)

        self.daemon.ask("reals", "enable", self.address(self.home))
        self.assertEqual(self.connect_often("enabled", 20), self.group_brokers["temperature"])
        self.expect_the_living_one_at_home("enabled")
        self.expect_orders(("drain", None), ("enable", None))

    def test_a_reload_of_weights_moves_no_connection_and_keeps_the_drain(self):
        self.daemon.ask("reals", "drain", self.address(self.home), "--group", "temperature")
        weights = {topology.number_of(self.home): 5}
        self.configure(dataclasses.replace(self.settings, weights=weights))
        with self.expect_counted(MISPREDICT=0, RESET=0):
            self.reload("configuration reloaded")
            self.expect_the_living_one_at_home("heavier")
        row = self.real(self.home)
        self.assertEqual((row["state"], row["weight"], row["effective_weight"]),
                         ("draining", 5, 0))
        self.assertEqual(self.connect_often("heavier"), self.others)

    def test_what_is_unknown_is_refused_with_what_is_missing(self):
        for argument, why in (
            (["10.9.9.9"], "no group has a real 10.9.9.9"),
            (["nonsense"], '"nonsense" is no IPv4 or IPv6 address'),
            ([self.address(self.home), "--group", "default"], 'group "default" has no real'),
            ([self.address(self.home), "--group", "none"], 'there is no group "none"'),
        ):
            with self.assertRaisesRegex(RuntimeError, why):
                self.daemon.ask("reals", "drain", *argument)


if __name__ == "__main__":
    main(with_forwarders(config.EMBEDDED, config.KATRAN_OBJECT, why="the reals are the server's"))
