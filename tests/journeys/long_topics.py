#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Topics that are too long for the kernel are forwarded, and the daemon learns from them."""

from support import Journey, Settings, main

LONG = "deep/" + "x" * 5000
LONGEST = "deep/" + "y" * 65530


class LongTopics(Journey):
    brokers = 2
    settings = Settings(groups={"deep": [1], "default": [2]}, routes=(("deep/#", "deep"),))

    def publish(self, topic, number):
        self.assertEqual(self.mosquitto_pub("client0", topic, number), 0)

    def expect_learned(self, topics):
        """Expects exactly these topics of the client in the history, in this order."""
        self.wait_until(
            lambda: self.history("SELECT new_topic, to_group, action FROM events ORDER BY id")
            == [(topic, "deep", "learned") for topic in topics],
            "the topics in the history",
        )

    def test_the_next_connection_goes_to_the_topics_group(self):
        with self.expect_counted(MISPREDICT=0, RESET=0, TOPIC_LEFT=6):
            self.publish(LONG, 1)
            self.expect_learned([LONG])
            for number in (2, 3, 4):
                self.publish(LONG, number)
            self.publish(LONGEST, 5)
            self.expect_learned([LONG, LONGEST])
            self.publish(LONGEST, 6)
            self.deliveries.wait_for(lambda everything: len(everything) >= 6)

        where = {d.number: d.broker for d in self.deliveries.all()}
        self.assertEqual(
            where, {1: "broker2"} | dict.fromkeys((2, 3, 4, 5, 6), "broker1"),
            "only the first one, of an unknown client, went to the default group",
        )
        counted = self.daemon.own_counters()
        self.assertEqual(counted["unjudged_topics"], 6)
        self.assertEqual(counted["unjudged_incomplete"], 0)
        self.assertEqual(counted["malformed_records"], 0)


if __name__ == "__main__":
    main()
