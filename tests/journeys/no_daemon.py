#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No daemon at all: mispredict, reset and recovery are the kernel's; the history catches up."""

import time

from support import Addressing, Journey, MosquittoPub, Paho, main

TOPIC = "measurements/temperature"
HEARTBEAT_STALE_S = 3  # bpf/abi.h


class NoDaemon(Journey):
    clients = 2

    def expect_recovery(self, publisher, witness):
        with publisher:
            last = self.feed_until_back(publisher, TOPIC, "1")
            publisher.close()
        self.assertIn(last, self.numbers(publisher.node))
        mispredicts = [
            m for m in self.expect_losses_only_in_gaps(witness)
            if m.connection.node == publisher.node
        ]
        self.assertEqual(len(mispredicts), 1)
        return mispredicts[0]

    def test_clients_are_reset_and_come_back_and_nothing_is_forgotten(self):
        witness = self.watch()
        self.daemon.kill()
        # The kernel still counts on the daemon: the client's next packet gets the RST.
        self.expect_recovery(Paho(self.lab, "client0"), witness)
        # Time itself is what must pass here: the heartbeat becomes stale.
        time.sleep(HEARTBEAT_STALE_S)
        alone = self.expect_recovery(MosquittoPub(self.lab, "client1", TOPIC), witness)
        self.assertLess(alone.reset_ms, 100, "the probe answers at once")

        self.daemon.start()
        # Their sessions at the wrong brokers waited for it, and end without a Will.
        self.wait_until(
            lambda: self.daemon.status()["daemon"]["clean_ends"] == 2, "both sessions to end"
        )
        addresses = [self.lab.client_address(node) for node in ("client0", "client1")]
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
        alone = self.expect_recovery(Paho(self.lab, "client0"), witness)
        self.assertLess(alone.reset_ms, 100)
        self.daemon.start()
        counters = self.counters()
        self.assertEqual((counters["RESET"], counters["PROBE_RST"]), (1, 1))


class NoDaemonIpv6(NoDaemon):
    addressing = Addressing.IPV6

    test_after_a_clean_stop_the_kernel_answers_at_once = None


if __name__ == "__main__":
    main()
