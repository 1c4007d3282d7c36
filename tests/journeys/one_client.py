#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The seed's Test 1: a client with one route. It moves when it publishes other topics."""

from support import Addressing, Journey, Settings, main


class OneClient(Journey):
    brokers = 2
    settings = Settings(
        groups={"sensors": [1], "default": [2]}, routes=(("sensors/", "sensors"),)
    )

    def publish(self, topic, *numbers):
        for number in numbers:
            self.assertEqual(self.mosquitto_pub("client0", topic, number), 0)

    def test_only_the_first_message_after_each_change_is_lost(self):
        first_address = self.lab.clients.address("client0")
        with self.expect_counted(MISPREDICT=1, RESET=1):
            self.publish("sensors/", 1, 2, 3)
            self.expect_delivered("client0", [2, 3])

        second_address = self.change_address("client0")
        with self.expect_counted(MISPREDICT=1, RESET=1):
            self.publish("sensors/", 4, 5, 6)
            self.expect_delivered("client0", [2, 3, 5, 6])

        with self.expect_counted(MISPREDICT=1, RESET=1):
            self.publish("living-room/", 7, 8, 9)
            self.expect_delivered("client0", [2, 3, 5, 6, 8, 9])

        self.wait_until(
            lambda: self.history(
                "SELECT client, topic, group_name FROM v_clients ORDER BY client"
            )
            == sorted([
                (first_address, "sensors/", "sensors"),
                (second_address, "living-room/", "default"),
            ]),
            "both addresses in the history",
        )

    def test_an_unknown_client_of_the_default_group_loses_nothing(self):
        with self.expect_counted(MISPREDICT=0, RESET=0, LEARNED=1):
            self.publish("anything", 1, 2, 3)
            self.expect_delivered("client0", [1, 2, 3])


class OneClientIpv6(OneClient):
    addressing = Addressing.IPV6


class OneClientIpv4OverIpv6(OneClient):
    addressing = Addressing.IPV4_OVER_IPV6


if __name__ == "__main__":
    main()
