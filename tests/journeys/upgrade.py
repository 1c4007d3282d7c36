#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""remorad is upgraded: it takes over the pinned maps of the version before it.

There is no remorad of ABI 4 to run, so abi_4_pins makes its maps from those of the present version.
Until the new remorad runs, the attached programs use maps of their own that are not pinned, unlike
those of a real predecessor. So nothing is published until then.
"""

import os
import subprocess

from support import Journey, Paho, Settings, build_folder, main, topology

TOPICS = {"client0": "measurements/temperature", "client1": "measurements/humidity"}
LASTING = ("names", "drains", "deaths", "topic_keys")


class Upgrade(Journey):
    clients = 2
    settings = Settings(groups={"temperature": [1, 2], "humidity": [3, 4], "default": [5, 6]})

    def setUp(self):
        super().setUp()
        self.publishers = []
        for node, topic in TOPICS.items():
            self.teach(node, topic)
            self.publishers.append(Paho(self.lab, node))
            self.addCleanup(self.publishers[-1].kill)
        self.publish("before")

    def publish(self, phase):
        for publisher in self.publishers:
            self.feed_in_step(publisher, TOPICS[publisher.node], 5, phase=phase)
        self.expect_all_delivered(phase)

    def drain(self, broker):
        self.daemon.ask("reals", "drain", self.lab.layout.broker_address(topology.number_of(broker)))

    def downgrade(self):
        subprocess.run(
            [os.path.join(build_folder(), "abi_4_pins"), self.daemon.pins], check=True)

    def test_no_flow_drain_or_topic_key_is_lost(self):
        homes = {node: self.brokers_that_got(node, "before") for node in TOPICS}
        home, = homes["client0"]
        # A connection that is not found would go where the ring leads: not here any more.
        self.drain(home)
        tables = self.pinned_tables()
        with self.expect_all_judged(10, NO_FLOW=0, MISPREDICT=0, RESET=0, ESTABLISHED=0):
            self.daemon.stop()
            self.downgrade()
            self.daemon.start()
            self.publish("after")
        self.assertEqual({node: self.brokers_that_got(node, "after") for node in TOPICS}, homes)
        self.assertEqual(self.real(home)["state"], "draining")
        self.assertEqual(self.real(home)["flows"], 1)
        upgraded = self.pinned_tables()
        for name in LASTING:
            self.assertEqual(upgraded[name], tables[name], f"{name} is another map")
        self.assertEqual(set(upgraded), set(tables))

        self.daemon.stop()
        self.daemon.start()
        self.assertEqual(self.pinned_tables(), upgraded, "the upgrade was not complete")
        self.publish("restarted")


if __name__ == "__main__":
    main()
