#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The load balancer's link carries VLAN tags in both directions."""

from support import (
    Addressing, Journey, MosquittoPub, Paho, config, main, mqtt, with_forwarders,
)

TOPIC = "measurements/temperature"


class Vlan(Journey):
    def setUp(self):
        super().setUp()
        self.lab.link.tag()

    def test_a_client_is_reset_comes_back_and_loses_nothing_more(self):
        witness = self.watch()
        with Paho(self.lab, "client0") as paho:
            self.feed_until_back(paho, TOPIC, "unknown")
            paho.close()
        mispredicts = self.expect_losses_only_in_gaps(witness, "unknown")
        self.assertEqual(len(mispredicts), 1)
        self.wait_for_ends(mispredicts, "disconnect")

        with self.expect_all_judged(20, MISPREDICT=0, NO_METADATA=0):
            with Paho(self.lab, "client0") as paho:
                self.feed_in_step(paho, TOPIC, 20, phase="known")
                paho.close()
            self.expect_all_delivered("known")

    def test_full_segments(self):
        messages = 2_000
        self.teach("client0", TOPIC)
        with self.expect_all_judged(messages, MISPREDICT=0):
            with MosquittoPub(self.lab, "client0", TOPIC) as publisher:
                for number in range(1, messages + 1):
                    publisher.publish(TOPIC, mqtt.message("client0", "1", number, 1000))
                publisher.close()
            self.expect_delivered("client0", range(1, messages + 1))
        self.assertGreater(self.counters()["TOO_BIG"], 0)


class VlanIpv6(Vlan):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main(with_forwarders(config.EMBEDDED, why="Katran takes no VLAN tags"))
