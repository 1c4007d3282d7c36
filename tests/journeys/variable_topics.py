#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The seed's Test 2: topics of any length; changing to another topic of the same broker needs no
reset."""

from support import Journey, Settings, main

LONG = "aabbccddee" * 8


class VariableTopics(Journey):
    brokers = 3
    settings = Settings(
        groups={"one": [1], "two": [2], "default": [3]},
        routes=((LONG, "one"), ("sensors/", "one"), ("living-room/", "two")),
    )

    def test_three_topics_three_times_each(self):
        with self.expect_counted(MISPREDICT=2, RESET=2):
            for first, topic in ((1, LONG), (4, "sensors/"), (7, "living-room/")):
                for number in range(first, first + 3):
                    self.assertEqual(self.mosquitto_pub("client0", topic, number), 0)
            # 1: unknown; 4: another topic of the same broker; 7: another broker.
            self.expect_delivered("client0", [2, 3, 4, 5, 6, 8, 9])


if __name__ == "__main__":
    main()
