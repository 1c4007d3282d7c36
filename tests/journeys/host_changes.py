#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Other tools change the load balancer's host while remorad runs: it restores what is missing and
reports what it cannot restore. No broker dies, and the existing connection goes on."""

import os
import pathlib
import re
import time

from support import (
    HEALTH, Journey, PATIENCE_S, Paho, Settings, build_folder, main, namespaces, topology,
)

from lab.daemon import PROBLEM

TOPIC = "measurements/temperature"


class HostChanges(Journey):
    settings = Settings(health=HEALTH)

    def setUp(self):
        super().setUp()
        self.teach("client0", TOPIC)
        self.living = Paho(self.lab, "client0")
        self.addCleanup(self.living.kill)
        self.feed(self.living, TOPIC, 5)
        self.expect_all_delivered()

    def in_lb_unchecked(self, *argv):
        return namespaces.run(self.lab.namespace(topology.LB), argv, capture_output=True,
                              text=True, timeout=PATIENCE_S)

    def in_lb(self, *argv):
        result = self.in_lb_unchecked(*argv)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def has_xdp(self):
        return '"prog"' in self.in_lb("ip", "-json", "link", "show", "eth0")

    def filters(self):
        return sum(self.in_lb("tc", "filter", "show", "dev", "eth0", side).count("remora_")
                   for side in ("ingress", "egress"))

    def problem(self):
        return self.daemon.status()["attachment_problem"]

    def status_code(self):
        command = [os.path.join(build_folder(), "remoractl"), "--runtime-dir",
                   self.daemon.runtime_dir, "--instance", self.lab.layout.instance, "status"]
        return self.in_lb_unchecked(*command).returncode

    def expect_problem(self, words):
        """Expects a problem in the status, its exit code and the log."""
        self.wait_until(lambda: words in (self.problem() or ""), f"a problem: {words}")
        self.assertEqual(self.status_code(), PROBLEM)
        self.assertIn(words, self.daemon.last_words(10))

    def expect_traffic(self, phase):
        with self.expect_counted(MISPREDICT=0, RESET=0):
            self.feed(self.living, TOPIC, 5, phase=phase)
            self.expect_delivered("client0", range(1, 6), phase)

    def log(self):
        return pathlib.Path(self.daemon.log).read_text(encoding="utf-8")

    def reals(self):
        return self.daemon.ask("reals", "list")["reals"]

    def wait_for_good_checks(self):
        """Waits for checks of all brokers that begin from now on; no broker is or was dead."""
        began = time.monotonic()

        def are_good():
            lasts = [row["health"]["last"] for row in self.reals()]
            passed_ms = 1000 * (time.monotonic() - began)
            return all(last and last["good"] and last["ms_ago"] < passed_ms for last in lasts)

        self.wait_until(are_good, "a check of each broker")
        self.assertEqual({row["state"] for row in self.reals()}, {"enabled"})
        self.assertNotIn(" is dead", self.log())

    def expect_life(self, phase):
        self.expect_traffic(phase)
        self.assertIsNone(self.problem())
        # The link's problem ends with the next look at it.
        self.wait_until(lambda: self.status_code() == 0, "a status without a problem")
        self.wait_for_good_checks()

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

    def test_a_firewall_of_the_host_drops_the_checks(self):
        self.in_lb("nft", "add table inet wall")
        self.in_lb("nft", "add chain inet wall out { type filter hook output priority 0; }")
        self.in_lb("nft", "add rule inet wall out ip daddr 198.18.0.0/15 counter drop")

        def dropped():
            listed = self.in_lb("nft", "list", "table", "inet", "wall")
            return int(re.search(r"packets (\d+)", listed)[1])

        # A check sends three SYNs, and two failed ones would be a death.
        self.wait_until(lambda: dropped() > 12 * len(self.reals()), "four checks of each broker")
        self.assertIn("do not get out of this host", self.log())
        self.in_lb("nft", "delete table inet wall")
        self.expect_life("free")

    def test_the_interface_loses_its_addresses(self):
        self.in_lb("ip", "address", "flush", "dev", "eth0")
        # Two failures would be a death. A line every ten seconds counts those before it.
        excused = r"nothing about the brokers.* \(and (\d+) failures before"
        self.wait_until(
            lambda: any(int(count) >= 2 * len(self.reals())
                        for count in re.findall(excused, self.log())),
            "two failed checks of each broker")
        self.lab.link.configure_lb()
        self.expect_life("addressed")

    def rename(self, before, after):
        self.in_lb("ip", "link", "set", before, "down")
        self.in_lb("ip", "link", "set", before, "name", after)
        self.in_lb("ip", "link", "set", after, "up")
        for plan in self.addressing.plans:
            self.in_lb("ip", "route", "add", "default", "via", plan.lb_link_gateway)

    def test_the_interface_is_renamed(self):
        self.rename("eth0", "lan0")
        self.expect_problem("called lan0 now")
        self.expect_traffic("renamed")
        self.wait_for_good_checks()
        self.rename("lan0", "eth0")
        self.wait_until(lambda: self.problem() is None, "the problem's end")
        self.expect_life("again")

    def test_the_interface_is_deleted_and_made_anew(self):
        self.lab.link.delete()
        self.expect_problem("eth0 is gone")
        self.lab.link.make_anew()
        self.wait_until(self.has_xdp, "the XDP program")
        self.wait_until(lambda: self.problem() is None, "the problem's end")
        self.expect_life("anew")

    def test_the_interface_is_moved_to_another_namespace_and_back(self):
        elsewhere = self.lab.layout.instance + "-elsewhere"
        self.in_lb("ip", "netns", "add", elsewhere)
        self.addCleanup(self.in_lb, "ip", "netns", "delete", elsewhere)
        self.in_lb("ip", "link", "set", "eth0", "netns", elsewhere)
        self.expect_problem("eth0 is gone")
        self.in_lb("ip", "-n", elsewhere, "link", "set", "eth0", "netns",
                   self.lab.layout.instance)
        self.lab.link.configure_lb()
        self.wait_until(self.has_xdp, "the XDP program")
        self.wait_until(lambda: self.problem() is None, "the problem's end")
        self.expect_life("back")

    def test_another_program_takes_the_place(self):
        self.in_lb("bpftool", "link", "detach", "pinned", self.daemon.pins + "/xdp_link")
        # remorad may put the link back in between: then it is detached again.
        pin = self.daemon.pins + "-other"
        self.in_lb("bpftool", "prog", "load", os.path.join(build_folder(), "bpf", "xdp_pass.bpf.o"),
                   pin, "type", "xdp")
        self.addCleanup(lambda: os.path.exists(pin) and os.unlink(pin))
        while self.in_lb_unchecked("bpftool", "net", "attach", "xdp", "pinned", pin, "dev",
                                   "eth0").returncode != 0:
            self.in_lb_unchecked("bpftool", "link", "detach", "pinned",
                                 self.daemon.pins + "/xdp_link")
        self.expect_problem('"xdp_pass"')
        self.in_lb("ip", "link", "set", "dev", "eth0", "xdp", "off")
        self.wait_until(lambda: self.problem() is None, "the problem's end")
        self.expect_life("alone")


if __name__ == "__main__":
    main()
