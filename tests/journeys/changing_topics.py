#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The seed's Tests 4 and 5: one client, three topics, one connection a message."""

from support import Addressing, Journey, Settings, main


class ChangingTopics(Journey):
    brokers = 3
    settings = Settings(
        groups={"a": [1], "b": [2], "default": [3]},
        routes=(("sensor/a", "a"), ("sensor/b", "b")),
    )

    def test_each_change_costs_one_message_and_is_remembered(self):
        with self.expect_counted(MISPREDICT=2, RESET=2):
            for first, topic in ((1, "sensor"), (4, "sensor/a"), (7, "sensor/b")):
                for number in range(first, first + 3):
                    self.assertEqual(self.mosquitto_pub("client0", topic, number), 0)
            self.expect_delivered("client0", [1, 2, 3, 5, 6, 8, 9])
        self.wait_until(
            lambda: self.history(
                "SELECT old_topic, new_topic, from_group, to_group, action FROM v_changes "
                "ORDER BY at"
            )
            == [
                ("sensor", "sensor/a", "default", "a", "reset"),
                ("sensor/a", "sensor/b", "a", "b", "reset"),
            ],
            "two changes in the history",
        )


class ChangingTopicsIpv6(ChangingTopics):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
