#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator asks: how many messages reached a wrong group, and why a client goes where."""

from support import Journey, Paho, Settings, main

TOPIC, OTHER = "measurements/temperature", "measurements/humidity"
MESSAGES = 25


class Explain(Journey):
    settings = Settings(policy="keep")

    def publishes(self, group, verdict):
        rows = {row["name"]: row["publishes"] for row in self.daemon.ask("groups")["groups"]}
        return sum(rows[group][verdict].values())

    def sentences(self, topic=TOPIC):
        client = self.lab.clients.address("client0")
        return self.daemon.ask("explain", client, "--topic", topic)["sentences"]

    def publish(self, phase):
        with Paho(self.lab, "client0") as paho:
            self.feed_in_step(paho, TOPIC, MESSAGES, phase=phase)
            paho.close()
        self.deliveries.settle()
        self.assertEqual(self.numbers("client0", phase), list(range(1, MESSAGES + 1)))

    # The numbers are those that the brokers' subscribers have received.
    def test_each_message_of_a_kept_connection_counts(self):
        self.publish("kept")
        self.assertEqual(self.publishes("default", "wrong"), MESSAGES)
        self.assertEqual(self.counters()["MISPREDICT"], 1)

        self.publish("right")
        self.assertEqual(self.publishes("default", "wrong"), MESSAGES)
        self.assertEqual(self.publishes("temperature", "right"), MESSAGES)
        self.assertEqual(self.counters()["PUBLISH"], 2 * MESSAGES)

    def test_the_explanation_is_what_happens_next(self):
        self.assertTrue(self.daemon.ask("ready")["ready"])
        before = " ".join(self.sentences())
        self.assertIn("It has no prediction", before)
        self.assertIn("goes to group default, the default group of the service", before)
        self.assertIn("is a mispredict: the topic belongs to group temperature", before)
        self.assertIn("by policy keep of temperature", before)

        self.publish("1")
        after = " ".join(self.sentences())
        self.assertIn("goes to group temperature, as predicted", after)
        self.assertIn(f'"{TOPIC}" is the topic of that lesson', after)
        self.assertIn("is right: the topic belongs to group temperature", after)
        self.assertIn("is a mispredict: the topic belongs to group humidity",
                      " ".join(self.sentences(OTHER)))
        self.publish("2")
        self.assertLessEqual(self.brokers_that_got("client0", "2"),
                             self.group_brokers["temperature"])

    def test_routes_are_tested_and_mistakes_are_named(self):
        answer = self.daemon.ask("routes", "test", TOPIC)
        self.assertEqual([row["group"] for row in answer["groups"]], ["temperature"])
        listed = self.daemon.ask("routes", "list")["routes"]
        self.assertIn(answer["routes"][0], listed)
        self.assertEqual(self.daemon.ask("services")["services"][0]["default_group"], "default")
        for command, words in (
            (("explain", "10.1.1"), "is no IPv4 or IPv6 address"),
            (("routes", "test", "a/#"), "the topic is invalid"),
            (("explain", "10.1.1.1", "--topic", "a/+"), "the topic is invalid"),
        ):
            with self.subTest(command=command), self.assertRaisesRegex(RuntimeError, words):
                self.daemon.ask(*command)


if __name__ == "__main__":
    main()
