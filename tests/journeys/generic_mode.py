#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Generic XDP, for drivers without native support: the same behaviour, on the kernel's own skb."""

from support import Journey, MosquittoPub, Paho, Settings, main, mqtt

TOPIC = "measurements/temperature"


class GenericMode(Journey):
    clients = 2
    settings = Settings(xdp_mode="generic")

    def test_a_client_is_reset_comes_back_and_loses_nothing_more(self):
        self.assertEqual(self.daemon.status()["mode"], "generic")
        witness = self.watch()
        with Paho(self.lab, "client0") as paho:
            self.feed_until_back(paho, TOPIC, "unknown")
            paho.close()
        mispredicts = self.expect_losses_only_in_gaps(witness, "unknown")
        self.assertEqual(len(mispredicts), 1)
        self.wait_for_ends(mispredicts, "disconnect")

        with self.expect_counted(MISPREDICT=0, NO_METADATA=0), Paho(self.lab, "client0") as paho:
            self.feed_in_step(paho, TOPIC, 20, phase="known")
            paho.close()
            self.expect_all_delivered("known")

    def test_full_segments(self):
        messages = 5_000
        self.teach("client0", TOPIC)
        with MosquittoPub(self.lab, "client0", TOPIC) as publisher:
            for number in range(1, messages + 1):
                publisher.publish(TOPIC, mqtt.message("client0", "1", number, 1000))
            publisher.close()
        self.expect_delivered("client0", range(1, messages + 1))
        self.assertGreater(self.counters()["TOO_BIG"], 0)


if __name__ == "__main__":
    main()
