#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1, 3.1.1 and 5, each at QoS 0, 1 and 2: an unknown client is reset once, then never."""

from support import Journey, MosquittoPub, main

TOPIC = "measurements/temperature"
VERSIONS = ("mqttv31", "mqttv311", "mqttv5")


class Versions(Journey):
    clients = 3

    def publish(self, node, phase, *, qos, version, count):
        with MosquittoPub(self.lab, node, TOPIC, qos=qos, version=version) as publisher:
            self.feed(publisher, TOPIC, count, phase=phase)
            publisher.close()

    def test_each_version_at_each_quality_of_service(self):
        witness = self.watch()
        for node, version in zip(self.lab.layout.client_nodes, VERSIONS):
            with self.subTest(version=version):
                with self.expect_counted(MISPREDICT=1, RESET=1, LEARNED=1):
                    # At QoS 1 the publisher ends when its message has arrived, reset or not.
                    self.publish(node, "unknown", qos=1, version=version, count=1)
                    self.expect_delivered(node, [1], "unknown")
                for qos in (0, 1, 2):
                    phase = f"{version}-{qos}"
                    with self.expect_counted(MISPREDICT=0, RESET=0, MALFORMED=0, BLIND=0,
                                             PUBLISH=10):
                        self.publish(node, phase, qos=qos, version=version, count=10)
                        self.expect_delivered(node, range(1, 11), phase)
        mispredicts = witness.mispredicts(self.brokers_of)
        self.assertEqual(len(mispredicts), len(VERSIONS))
        self.wait_for_ends(mispredicts, "disconnect")


if __name__ == "__main__":
    main()
