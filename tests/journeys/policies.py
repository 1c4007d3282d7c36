#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The policies keep and drop: keep leaves a connection where it is, drop silences it."""

import concurrent.futures

from support import Journey, MosquittoPub, Paho, Settings, main

TOPIC = "measurements/temperature"


class Keep(Journey):
    settings = Settings(policy="keep")

    def test_nothing_is_lost_and_the_next_connection_is_right(self):
        for phase, group in (("unknown", "default"), ("known", "temperature")):
            with Paho(self.lab, "client0") as paho:
                self.feed_in_step(paho, TOPIC, 20, phase=phase)
                paho.close()
            self.deliveries.settle()
            self.assertEqual(self.numbers("client0", phase), list(range(1, 21)))
            self.assertLessEqual(self.brokers_that_got("client0", phase), self.group_brokers[group])
        counters = self.counters()
        self.assertEqual(counters["RESET"], 0)
        self.assertGreater(counters["KEPT_POLICY"], 0)
        self.wait_until(
            lambda: self.history("SELECT to_group, action FROM v_mispredicts")
            == [("temperature", "kept")],
            "the mispredict in the history",
        )


class OneGroupKeeps(Journey):
    """The policy of the topic's group overrides that of [mispredict]."""

    clients = 2
    settings = Settings(policy="reset", group_policies={"humidity": "keep"})

    def test_each_group_has_its_own(self):
        with self.expect_counted(MISPREDICT=2, RESET=1, KEPT_POLICY=1):
            with Paho(self.lab, "client0") as paho:
                self.feed_until_back(paho, TOPIC)
                paho.close()
            with Paho(self.lab, "client1") as paho:
                self.feed_in_step(paho, "measurements/humidity", 15)
                paho.close()
            self.deliveries.settle()
        self.assertNotIn(1, self.numbers("client0"))
        self.assertEqual(self.numbers("client1"), list(range(1, 16)))


class Drop(Journey):
    clients = 2
    settings = Settings(policy="drop")

    def test_the_client_finds_out_by_its_own_keepalive(self):
        witness = self.watch()
        publishers = [
            MosquittoPub(self.lab, "client0", TOPIC, keepalive_s=5),
            Paho(self.lab, "client1", keepalive_s=5),
        ]
        for publisher in publishers:
            self.addCleanup(publisher.kill)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda publisher: self.feed_until_back(publisher, TOPIC), publishers))
        for publisher in publishers:
            publisher.close()
        mispredicts = self.expect_losses_only_in_gaps(witness)
        self.assertEqual({m.connection.node for m in mispredicts}, {"client0", "client1"})
        for mispredict in mispredicts:
            self.assertEqual(mispredict.connection.resets, 0, "silenced, not reset")
        self.assertEqual(self.counters()["DROPPED_POLICY"], 2)


if __name__ == "__main__":
    main()
