#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Katran server next to remorad: either may stop and come back while connections go on. remorad
reports VIPs that the server does not know."""

import os

from support import Journey, Paho, Settings, config, main

TOPICS = {"client0": "measurements/temperature", "client1": "measurements/humidity"}


class KatranShared(Journey):
    clients = 2
    settings = Settings(forwarder=config.KATRAN_SHARED)

    def setUp(self):
        super().setUp()
        for node, topic in TOPICS.items():
            self.teach(node, topic)
        self.witness = self.watch()
        self.publishers = [Paho(self.lab, node) for node in TOPICS]
        for publisher in self.publishers:
            self.addCleanup(publisher.kill)
        self.publish("both")

    def publish(self, phase):
        for publisher in self.publishers:
            self.feed_in_step(publisher, TOPICS[publisher.node], 10, phase=phase)
        self.expect_all_delivered(phase)

    def states(self):
        """{group: how the server handles its VIP}, according to remorad."""
        return {g["name"]: g["katran"] for g in self.daemon.status()["groups"] if g["configured"]}

    def wait_for_states(self, **states):
        self.wait_until(lambda: self.states().items() >= states.items(), f"the states {states}")

    def test_either_side_goes_and_comes_back(self):
        katran = self.lab.katran
        with self.expect_counted(MISPREDICT=0, RESET=0, NO_FORWARDER=0):
            katran.stop()
            self.assertIsNone(katran.process())
            self.publish("without-server")
            katran.start()
            self.publish("another-server")
            self.daemon.stop()
            self.publish("without-remorad")
            self.daemon.start()
            self.publish("another-remorad")
            self.daemon.kill()
            katran.stop()
            self.publish("without-either")
            katran.start()
            self.daemon.start()
            self.publish("both-again")
        connections = self.witness.all()
        self.assertEqual(sorted(c.node for c in connections), list(TOPICS))
        self.assertEqual(sum(c.resets + c.strays for c in connections), 0)

    def test_what_the_server_does_not_know_is_said(self):
        everybody = dict.fromkeys(self.group_brokers, "forwards")
        self.wait_for_states(**everybody)

        plan = self.lab.katran.groups()
        services = config.read_services(self.daemon.config.path)
        self.lab.katran.plan(plan[1:], services)
        self.lab.katran.reload()
        self.wait_for_states(temperature="unknown", humidity="forwards")

        self.lab.katran.plan([config.GroupOfReals(plan[0].vip, {}), *plan[1:]], services)
        self.lab.katran.reload()
        self.wait_for_states(temperature="no real", humidity="forwards")

        self.lab.katran.plan(plan, services)
        self.lab.katran.reload()
        self.wait_for_states(**everybody)
        self.publish("known-again")

    def test_the_reals_are_the_servers_business(self):
        for command in (["list"], ["drain", self.lab.layout.broker_address(1)]):
            with self.assertRaisesRegex(RuntimeError, "Katran server"):
                self.daemon.ask("reals", *command)


def prepare():
    if not os.environ.get("REMORA_KATRAN_OBJ"):
        return "REMORA_KATRAN_OBJ does not name Katran's object (balancer.bpf.o)"
    return None


if __name__ == "__main__":
    main(prepare)
