#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Connections end without a packet from the client: their flows leave the table nevertheless.

A client is silent when its broker resets the connection, as mosquitto does when another client
takes over its identifier, and when it is gone. Its flow stays until the keepalive proves that the
connection has ended.
"""

from support import PATIENCE_S, Journey, Paho, Settings, main
from lab.waiting import wait_until

KEEPALIVE_S = 1
# 2 * keepalive + 30 s, and a sweep every ten seconds; 60 s for those that ended with a FIN.
GONE_AFTER_S = 75


class SilentClients(Journey):
    clients, brokers = 3, 2
    # All connections are on one broker.
    settings = Settings(groups={"one": [1], "default": [2]}, routes=(("sensor", "one"),))

    def expired(self):
        return self.daemon.own_counters()["flows_removed"]

    def test_their_flows_leave_within_their_keepalive(self):
        first, second, third = self.lab.layout.client_nodes[:3]
        frozen = Paho(self.lab, third, keepalive_s=KEEPALIVE_S)
        self.addCleanup(frozen.kill)
        self.feed_in_step(frozen, "others", 1)
        frozen.freeze()
        # The two clients connect in turn, and each ends the other one's connection.
        rivals = [Paho(self.lab, node, client_id="shared", keepalive_s=KEEPALIVE_S)
                  for node in (first, second)]
        for rival in rivals:
            self.addCleanup(rival.kill)
        self.wait_until(lambda: self.counters()["ESTABLISHED"] >= 10, "ten connections")
        for rival in rivals:
            rival.kill()

        wait_until(lambda: self.expired() >= self.counters()["ESTABLISHED"], "an empty flow table",
                   GONE_AFTER_S + PATIENCE_S)
        self.assertEqual(self.counters()["CLIENT_CONNECTIONS"], 0)


if __name__ == "__main__":
    main()
