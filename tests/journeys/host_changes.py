#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Other tools take programs and pins away while remorad runs: they come back, and no broker dies."""

import os

from support import Journey, Paho, main, namespaces, topology

TOPIC = "measurements/temperature"


class HostChanges(Journey):
    def setUp(self):
        super().setUp()
        self.teach("client0", TOPIC)
        self.living = Paho(self.lab, "client0")
        self.addCleanup(self.living.kill)
        self.feed(self.living, TOPIC, 5)
        self.expect_all_delivered()

    def in_lb(self, *argv):
        return namespaces.run(self.lab.namespace(topology.LB), argv, check=True,
                              capture_output=True, text=True).stdout

    def has_xdp(self):
        return '"prog"' in self.in_lb("ip", "-json", "link", "show", "eth0")

    def filters(self):
        return sum(self.in_lb("tc", "filter", "show", "dev", "eth0", side).count("remora_")
                   for side in ("ingress", "egress"))

    def expect_life(self, phase):
        with self.expect_counted(MISPREDICT=0, RESET=0):
            self.feed(self.living, TOPIC, 5, phase=phase)
            self.expect_delivered("client0", range(1, 6), phase)
        self.assertIsNone(self.daemon.status()["attachment_problem"])
        self.assertEqual({row["state"] for row in self.daemon.ask("reals", "list")["reals"]},
                         {"enabled"})

    def test_the_xdp_link_is_detached(self):
        self.in_lb("bpftool", "link", "detach", "pinned", self.daemon.pins + "/xdp_link")
        self.wait_until(self.has_xdp, "the XDP program")
        self.expect_life("detached")

    def test_the_clsact_qdisc_is_deleted(self):
        before = self.filters()
        self.in_lb("tc", "qdisc", "del", "dev", "eth0", "clsact")
        self.wait_until(lambda: self.filters() == before, "the TC programs")
        self.expect_life("clsact")

    def test_the_pins_are_removed(self):
        before = sorted(os.listdir(self.daemon.pins))
        for pin in before:
            os.unlink(os.path.join(self.daemon.pins, pin))
        self.wait_until(lambda: sorted(os.listdir(self.daemon.pins)) == before, "the pins")
        self.expect_life("unpinned")
        self.daemon.kill()
        self.daemon.start()
        self.expect_life("restarted")


if __name__ == "__main__":
    main()
