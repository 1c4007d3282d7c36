#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two topics of one group: a change between them is no mispredict."""

from support import Journey, Paho, Settings, main


class SharedGroup(Journey):
    brokers = 2
    settings = Settings(
        groups={"weather": [1], "default": [2]},
        routes=(("temperature", "weather"), ("humidity", "weather")),
    )

    def test_nobody_is_reset_between_topics_of_one_group(self):
        self.teach("client0", "temperature")
        with self.expect_counted(MISPREDICT=0, RESET=0), Paho(self.lab, "client0") as paho:
            for _ in range(10):
                self.feed_in_step(paho, "temperature", 1)
                self.feed_in_step(paho, "humidity", 1)
            paho.close()
            self.expect_all_delivered()
        self.wait_until(
            lambda: self.history("SELECT topic, group_name FROM v_clients")
            == [("humidity", "weather")],
            "the last topic in the history",
        )
        self.assertIn(
            ("temperature", "humidity", "learned"),
            self.history("SELECT old_topic, new_topic, action FROM v_changes"),
        )


if __name__ == "__main__":
    main()
