#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Without a daemon the kernel notices mispredicts and resets; the history catches up later."""

from support import Addressing, Journey, MosquittoPub, Paho, main

from lab import pinned

TOPIC = "measurements/temperature"


class NoDaemon(Journey):
    clients = 2

    def expect_recovery(self, publisher, witness):
        with publisher:
            self.feed_until_back(publisher, TOPIC)
            publisher.close()
        mispredicts = [
            m for m in self.expect_losses_only_in_gaps(witness)
            if m.connection.node == publisher.node
        ]
        self.assertEqual(len(mispredicts), 1)

    def test_clients_are_reset_and_come_back_and_nothing_is_forgotten(self):
        witness = self.watch()
        self.daemon.kill()
        # For three seconds the kernel still assumes that a daemon runs; here for as long as needed.
        # The client's next packet gets the RST.
        with self.meanwhile(lambda: pinned.beat(self.daemon.pins), every_s=0.1):
            self.expect_recovery(Paho(self.lab, "client0"), witness)
        self.wait_until(
            lambda: pinned.heartbeat_age_s(self.daemon.pins) > pinned.HEARTBEAT_STALE_S,
            "a stale heartbeat")
        self.expect_recovery(MosquittoPub(self.lab, "client1", TOPIC), witness)

        self.daemon.start()
        counters = self.counters()
        self.assertEqual((counters["RESET"], counters["PROBE_RST"]), (2, 1),
                         "the probe answers where no daemon does")
        # Their sessions at the wrong brokers waited for the daemon. They end without a Will.
        self.wait_until(
            lambda: self.daemon.own_counters()["clean_ends"] == 2, "both sessions to end"
        )
        addresses = [self.lab.clients.address(node) for node in ("client0", "client1")]
        self.wait_until(
            lambda: self.history(
                "SELECT client, topic, from_group, to_group, action FROM v_mispredicts "
                "ORDER BY client"
            )
            == [(address, TOPIC, "default", "temperature", "reset") for address in addresses],
            "the mispredicts in the history",
        )

    def test_after_a_clean_stop_the_kernel_answers_at_once(self):
        witness = self.watch()
        self.daemon.stop()
        self.expect_recovery(Paho(self.lab, "client0"), witness)
        self.daemon.start()
        counters = self.counters()
        self.assertEqual((counters["RESET"], counters["PROBE_RST"]), (1, 1))


class NoDaemonIpv6(NoDaemon):
    addressing = Addressing.IPV6

    test_after_a_clean_stop_the_kernel_answers_at_once = None


if __name__ == "__main__":
    main()
