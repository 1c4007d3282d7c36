#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shadow mode: what Remora would do is learned and counted; all connections go to the default
group."""

import dataclasses

from support import Journey, Paho, Settings, config, main, with_forwarders

TOPIC = "measurements/temperature"


class Shadow(Journey):
    settings = Settings(mode="shadow", unknown_clients="router")

    def publish(self, phase):
        with Paho(self.lab, "client0") as paho:
            self.feed_in_step(paho, TOPIC, 10, phase=phase)
            paho.close()
        self.deliveries.settle()
        self.assertEqual(self.numbers("client0", phase), list(range(1, 11)))
        return self.brokers_that_got("client0", phase)

    def test_it_counts_what_would_happen_and_moves_nobody(self):
        with self.expect_counted(SYN_UNKNOWN=1, MISPREDICT=1, RESET=0, ROUTER_ABSENT=0):
            self.assertLessEqual(self.publish("unknown"), self.group_brokers["default"])
        with self.expect_counted(SYN_PREDICTED=1, MISPREDICT=0, RESET=0):
            self.assertLessEqual(self.publish("known"), self.group_brokers["default"])
        self.wait_until(
            lambda: self.history("SELECT from_group, to_group, action FROM v_mispredicts")
            == [("default", "temperature", "would reset")],
            "the mispredict in the history")
        status = self.daemon.status()
        self.assertTrue(status["shadow"])
        self.assertRegex(status["counters"]["MISPREDICT"]["meaning"], "^would be: ")

    def test_only_a_detached_instance_changes_the_mode(self):
        self.publish("shadow")
        self.wait_until(
            lambda: self.history("SELECT count(*) FROM clients") == [(1,)], "the client's row")
        self.configure(dataclasses.replace(self.settings, mode="active", unknown_clients="default"))
        with self.assertRaisesRegex(RuntimeError, "mode"):
            self.daemon.ask("reload")
        self.daemon.stop()
        with self.assertRaisesRegex(RuntimeError, "--detach"):
            self.daemon.start()

        self.daemon.throw_away()
        self.daemon.start()
        with self.expect_counted(SYN_PREDICTED=1, MISPREDICT=0, RESET=0):
            self.assertLessEqual(self.publish("active"), self.group_brokers["temperature"])


if __name__ == "__main__":
    main(with_forwarders(config.EMBEDDED, why="its packets carry the VIPs of groups"))
