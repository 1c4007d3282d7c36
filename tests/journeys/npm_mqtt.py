#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The npm client `mqtt` comes back by itself after a reset, and uses aliases and properties."""

import dataclasses

from support import Addressing, Journey, Settings, main
from clients import Npm, install_npm_client

GROUPS = {"home": [1, 2], "other": [3], "default": [4]}
HOME = ("home/temperature", "home/humidity", "home/a/topic/of/some/more/levels/than/that", "h")
OTHER = "other"
ROUTES = (*((topic, "home") for topic in HOME), (OTHER, "other"))


class NpmMqtt(Journey):
    brokers = 4
    settings = Settings(groups=GROUPS, routes=ROUTES)

    def test_it_comes_back_by_itself(self):
        witness = self.watch()
        with Npm(self.lab, "client0") as publisher:
            self.feed_until_back(publisher, HOME[0], "unknown")
            publisher.close()
        mispredicts = self.expect_losses_only_in_gaps(witness, "unknown")
        self.assertEqual(len(mispredicts), 1)

        with self.expect_counted(MISPREDICT=0), Npm(self.lab, "client0") as publisher:
            self.feed_in_step(publisher, HOME[0], 20, phase="known")
            publisher.close()
            self.expect_all_delivered("known")

    def publish_in_turn(self, topics, rounds, phase, *options):
        with Npm(self.lab, "client0", "--version=5", *options) as publisher:
            for _ in range(rounds):
                for topic in topics:
                    self.feed(publisher, topic, 1, phase=phase)
            publisher.close()

    def test_aliases_and_properties(self):
        self.teach("client0", HOME[0])
        for options in (
            ("--qos=0",), ("--qos=0", "--aliases"), ("--qos=0", "--properties"),
            *((f"--qos={qos}", "--aliases", "--properties") for qos in (0, 1, 2)),
        ):
            phase = "".join(options)
            with self.subTest(phase), self.expect_all_judged(40, MISPREDICT=0):
                self.publish_in_turn(HOME, 10, phase, *options)
                self.expect_all_delivered(phase)

    def test_a_known_alias_counts_as_its_topic(self):
        """An alias whose topic moves to another group: the next message does not name the topic."""
        self.teach("client0", HOME[0])
        moved = dict(self.settings.routes) | {HOME[1]: "other"}
        with Npm(self.lab, "client0", "--version=5", "--aliases") as publisher:
            self.feed(publisher, HOME[1], 3)
            self.feed(publisher, HOME[0], 3)
            self.expect_all_delivered()
            self.configure(dataclasses.replace(self.settings, routes=tuple(moved.items())))
            self.reload("reloaded")
            with self.expect_counted(MISPREDICT=1, RESET=1, KEPT_POLICY=0):
                self.feed(publisher, HOME[0], 3, phase="moved")
                self.expect_delivered("client0", [1, 2, 3], "moved")
                last = self.feed_until_back(publisher, HOME[1], "elsewhere")
                publisher.close()
                self.deliveries.settle()
        arrived = [d for d in self.deliveries.all() if d.phase == "elsewhere"]
        self.assertEqual({d.broker for d in arrived}, {"broker3"})
        self.assertEqual(arrived[-1].number, last)


class NpmMqttIpv6(NpmMqtt):
    addressing = Addressing.IPV6


class Kept(Journey):
    brokers = 4
    settings = Settings(groups=GROUPS, routes=ROUTES, policy="keep")

    def test_each_message_by_an_alias_of_another_group_is_noticed(self):
        self.teach("client0", HOME[0])
        with self.expect_all_judged(30, MISPREDICT=10, KEPT_POLICY=10):
            with Npm(self.lab, "client0", "--version=5", "--aliases") as publisher:
                for _ in range(10):
                    for topic in (HOME[0], HOME[1], OTHER):
                        self.feed(publisher, topic, 1)
                publisher.close()
            self.deliveries.wait_for(lambda all_: len(all_) == 31)
        self.assertEqual(sorted(self.numbers("client0")), list(range(1, 31)))


if __name__ == "__main__":
    main(install_npm_client)
