#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A start that cannot succeed prints one line with the remedy, and leaves nothing half attached."""

import dataclasses
import json
import os
import pathlib
import tempfile

from support import (
    Journey, PATIENCE_S, Settings, build_folder, main, namespaces, network, topology,
)

FAILED, BAD_CONFIG = 1, 2


class BadStarts(Journey):
    settings = Settings()

    def setUp(self):
        super().setUp()
        self.lb = self.lab.namespace(topology.LB)

    def in_lb(self, *argv, **options):
        return namespaces.run(
            self.lb, argv, capture_output=True, text=True, timeout=PATIENCE_S, **options)

    def attached(self):
        """The XDP program and the clsact qdisc on the interface."""
        link = json.loads(self.in_lb("ip", "-json", "-detail", "link", "show", "eth0").stdout)[0]
        qdiscs = json.loads(self.in_lb("tc", "-json", "qdisc", "show", "dev", "eth0").stdout)
        return (
            link.get("xdp", {}).get("prog", {}).get("name"),
            [qdisc["kind"] for qdisc in qdiscs if qdisc["kind"] == "clsact"],
        )

    def pinned(self):
        """{pin: id of its map} of this instance."""
        listed = self.in_lb("bpftool", "--json", "--bpffs", "map", "show", check=True)
        return {
            pin: entry["id"]
            for entry in json.loads(listed.stdout) for pin in entry.get("pinned", ())
            if pin.startswith(self.daemon.pins + "/")
        }

    def start(self, *more, before=(), config=None, runtime_dir=None):
        """Runs a remorad that should end at once; returns its exit code and output."""
        result = self.in_lb(
            *before, os.path.join(build_folder(), "remorad"),
            "--config", config or self.daemon.config.path,
            "--runtime-dir", runtime_dir or self.daemon.runtime_dir, *more,
        )
        return result.returncode, result.stdout + result.stderr

    def expect_refusal(self, code, *words, log_lines=0, **start):
        """Expects one line that contains `words`, after `log_lines` lines of the log."""
        found, text = self.start(*start.pop("arguments", ()), **start)
        self.assertEqual(found, code, text)
        lines = text.splitlines()
        self.assertEqual(len(lines), 1 + log_lines, text)
        for word in words:
            self.assertIn(word, lines[-1])

    def expect_nothing_half_done(self, xdp=None):
        self.assertEqual(self.attached(), (xdp, []))
        self.assertEqual(self.pinned(), {})

    def expect_a_good_start(self):
        self.daemon.start()
        self.teach("client0", "measurements/temperature")

    # ---- a host without a running remorad -----------------------------------------

    def test_somebody_elses_xdp_program(self):
        self.daemon.throw_away()
        pin = os.path.join(network.BPFFS, f"{self.lab.layout.instance}-other")
        program = os.path.join(build_folder(), "bpf", "xdp_pass.bpf.o")
        self.addCleanup(lambda: os.path.exists(pin) and os.unlink(pin))
        self.in_lb("bpftool", "prog", "load", program, pin, "type", "xdp", check=True)
        self.in_lb("bpftool", "net", "attach", "xdp", "pinned", pin, "dev", "eth0", check=True)
        # A Katran server is still in its array, so each group has a line about its VIP; the gateway
        # is the server's, so it has no line.
        log_lines = 1 + len(self.group_brokers) if self.lab.katran else 2
        self.expect_refusal(
            FAILED, '"xdp_pass"', "ip link set dev eth0 xdp off", log_lines=log_lines)
        self.expect_nothing_half_done(xdp="xdp_pass")
        self.in_lb("ip", "link", "set", "dev", "eth0", "xdp", "off", check=True)
        self.expect_a_good_start()

    def test_no_bpf_file_system(self):
        self.daemon.throw_away()
        with tempfile.TemporaryDirectory() as folder:
            self.expect_refusal(
                FAILED, folder, f"mount -t bpf bpf {folder}", arguments=("--bpffs", folder)
            )
            self.assertEqual(os.listdir(folder), [])
        self.expect_nothing_half_done()
        self.expect_a_good_start()

    def test_an_unknown_interface(self):
        self.daemon.throw_away()
        good = pathlib.Path(self.daemon.config.path).read_text(encoding="utf-8")
        bad = self.lab.state.file("bad.toml")
        pathlib.Path(bad).write_text(
            good.replace('interface = "eth0"', 'interface = "eth7"'), encoding="utf-8"
        )
        self.expect_refusal(FAILED, f"{bad}:5:", '"eth7"', "ip link", config=bad)
        self.expect_nothing_half_done()

    def test_a_bad_configuration(self):
        self.daemon.throw_away()
        self.configure(dataclasses.replace(self.settings, routes=(("a", "nowhere"),)))
        self.expect_refusal(BAD_CONFIG, f"{self.daemon.config.path}:", '"nowhere"')
        self.expect_refusal(BAD_CONFIG, "/no-such-file", config="/no-such-file")
        self.expect_nothing_half_done()
        self.assertIn('unknown group "nowhere"', self.what_the_doctor_says())

    def what_the_doctor_says(self):
        """The finding about the daemon, with the remedy."""
        told = self.in_lb(
            os.path.join(build_folder(), "remoractl"), "--runtime-dir", self.daemon.runtime_dir,
            "doctor", "--config", self.daemon.config.path, "--json")
        findings = json.loads(told.stdout)["findings"]
        return next(f"{f['says']} # {f['remedy']}" for f in findings if f["check"] == "daemon")

    def test_the_doctor_tells_of_the_last_failure_until_a_start_is_good(self):
        self.daemon.throw_away()
        with tempfile.TemporaryDirectory() as folder:
            self.start("--bpffs", folder)
        self.assertRegex(self.what_the_doctor_says(),
                         "last start failed .* mount -t bpf bpf .*; then systemctl start remora")

        self.expect_a_good_start()
        self.daemon.stop()
        self.assertNotIn("last start failed", self.what_the_doctor_says())

    def test_missing_capabilities(self):
        self.daemon.throw_away()
        # CAP_SYS_ADMIN can replace CAP_BPF and CAP_PERFMON, so each case lacks both of a pair.
        for lacks in ("-sys_admin,-bpf", "-sys_admin,-perfmon", "-net_admin,-sys_admin", "-net_raw",
                      "-all"):
            with self.subTest(lacks=lacks):
                code, text = self.start(
                    before=("setpriv", f"--bounding-set={lacks}", f"--inh-caps={lacks}")
                )
                self.assertEqual(code, FAILED, text)
                last = text.splitlines()[-1]
                self.assertRegex(last, "CAP_|run as root")
                self.expect_nothing_half_done()
        self.expect_a_good_start()

    def test_limits_that_do_not_fit_in_memory(self):
        self.daemon.throw_away()
        self.configure(
            dataclasses.replace(self.settings, clients=100_000_000, flows=100_000_000)
        )
        self.expect_refusal(FAILED, "MiB", "lower clients or flows")
        self.expect_nothing_half_done()
        self.configure(self.settings)
        self.expect_a_good_start()

    # ---- a start next to, or after, a good one --------------------------------------

    def test_a_second_one_of_the_same_instance(self):
        before = self.attached(), self.pinned()
        self.expect_refusal(FAILED, "another remorad", self.lab.layout.instance)
        self.assertEqual((self.attached(), self.pinned()), before)
        self.assertIsNotNone(self.daemon.status())
        self.teach("client0", "measurements/temperature")
        self.daemon.stop()
        self.assertNotIn("last start failed", self.what_the_doctor_says())

    def test_a_second_one_with_other_runtime_files(self):
        before = self.attached(), self.pinned()
        with tempfile.TemporaryDirectory() as folder:
            for arguments in ((), ("--detach",)):
                self.expect_refusal(FAILED, "another remorad", self.daemon.pins,
                                    arguments=arguments, runtime_dir=folder)
        os.unlink(os.path.join(self.daemon.runtime_dir, f"{self.lab.layout.instance}.lock"))
        self.expect_refusal(FAILED, "another remorad", self.daemon.pins)
        self.assertEqual((self.attached(), self.pinned()), before)
        self.teach("client0", "measurements/temperature")

    def test_a_bad_start_takes_nothing_from_the_one_before(self):
        self.teach("client0", "measurements/temperature")
        before = self.attached(), self.pinned()
        self.assertIn(self.daemon.pins + "/flows", before[1])
        self.daemon.stop()
        self.configure(
            dataclasses.replace(self.settings, clients=100_000_000, flows=100_000_000)
        )
        self.expect_refusal(FAILED, "MiB")
        self.assertEqual((self.attached(), self.pinned()), before)
        # Forwarding and prediction go on, and a good start still works.
        self.configure(self.settings)
        self.expect_a_good_start()
        self.assertEqual(self.counters()["RESET"], 1, "the client's first connection, and no other")


if __name__ == "__main__":
    main()
