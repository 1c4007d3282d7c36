#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The policies keep and drop: a connection left where it is, and one that is silenced."""

import threading

from support import Journey, MosquittoPub, Paho, Settings, main

TOPIC = "measurements/temperature"


class Keep(Journey):
    settings = Settings(policy="keep")

    def brokers_that_got(self, phase):
        groups = set()
        for delivery in self.deliveries.all():
            if delivery.phase == phase:
                groups |= {g for g, names in self.group_brokers.items() if delivery.broker in names}
        return groups

    def test_nothing_is_lost_and_the_next_connection_is_right(self):
        for phase, group in (("unknown", "default"), ("known", "temperature")):
            with Paho(self.lab, "client0") as paho:
                self.feed(paho, TOPIC, 20, every_s=0.01, phase=phase)
                paho.close()
            self.deliveries.wait_for(lambda _: self.deliveries.count() >= 20)
            self.deliveries.wait_until_quiet()
            self.assertEqual(self.numbers("client0", phase), list(range(1, 21)))
            self.assertEqual(self.brokers_that_got(phase), {group})
        counters = self.counters()
        self.assertEqual(counters["RESET"], 0)
        self.assertGreater(counters["KEPT_POLICY"], 0)
        self.wait_until(
            lambda: self.history("SELECT to_group, action FROM v_mispredicts")
            == [("temperature", "kept")],
            "the mispredict in the history",
        )


class OneGroupKeeps(Journey):
    """A group's own policy instead of that of [mispredict]: the group that the topic belongs to."""

    clients = 2
    settings = Settings(policy="reset", group_policies={"humidity": "keep"})

    def test_each_group_has_its_own(self):
        with self.expect_counted(MISPREDICT=2, RESET=1, KEPT_POLICY=1):
            for node, topic in (("client0", TOPIC), ("client1", "measurements/humidity")):
                with Paho(self.lab, node) as paho:
                    self.feed(paho, topic, 15, every_s=0.1)
                    paho.close()
            self.deliveries.wait_until_quiet()
        self.assertLess(len(self.numbers("client0")), 15)
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
        threads = [
            threading.Thread(target=self.feed, args=(p, TOPIC, 150), kwargs={"every_s": 0.1})
            for p in publishers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for publisher in publishers:
            publisher.close()
        mispredicts = self.expect_losses_only_in_gaps(witness)
        self.assertEqual({m.connection.node for m in mispredicts}, {"client0", "client1"})
        for mispredict in mispredicts:
            self.assertEqual(mispredict.connection.resets, 0, "silenced, not reset")
            self.assertIn(150, self.numbers(mispredict.connection.node))
        self.assertEqual(self.counters()["DROPPED_POLICY"], 2)


if __name__ == "__main__":
    main()
