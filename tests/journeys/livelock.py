#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client that alternates between topics of two groups, at QoS 1.

Whatever group its connection is on, its queue of unacknowledged messages contains one for the other
group. Without a limit it would be reset for ever and never get everything acknowledged.
"""

from support import Addressing, Journey, Paho, Settings, main

TOPICS = ("measurements/temperature", "measurements/humidity")
MESSAGES = 20


class Livelock(Journey):
    settings = Settings(resets_per_client=3)

    def test_everything_is_acknowledged_with_few_resets(self):
        with Paho(self.lab, "client0", qos=1) as paho:
            for number in range(MESSAGES):
                self.feed(paho, TOPICS[number % 2], 1)
            # Returns once everything is acknowledged.
            paho.close()
        self.deliveries.settle()
        self.assertEqual(set(self.numbers("client0")), set(range(1, MESSAGES + 1)))
        counters = self.counters()
        self.assertLessEqual(counters["RESET"], self.settings.resets_per_client)
        self.assertGreater(counters["KEPT_CLIENT"], 0)


class LivelockIpv6(Livelock):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
