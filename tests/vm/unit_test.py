#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""In the guest, under systemd: remora.service serves a lab. One test at a time (unit_checks.py)."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests" / "journeys"))

from support import Journey, Paho, Settings, namespaces, network, topology  # noqa: E402
from lab import processes  # noqa: E402
from lab.daemon import Daemon  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.waiting import wait_until  # noqa: E402

PACKAGES = pathlib.Path("/srv/remora")
CONFIG = pathlib.Path("/etc/remora/remora.toml")
HISTORY = "/var/lib/remora/history.db"
UNIT = "remora.service"
TOPIC = "measurements/temperature"
MOST_EXPOSURE = 2.5


def run(*argv):
    """Runs a command; returns its result, with both outputs in `stdout`."""
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, check=False,
    )


def done(*argv):
    """The output of a command that must succeed."""
    result = run(*argv)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {result.stdout}")
    return result.stdout


def unit_property(name):
    return done("systemctl", "show", "--value", "--property", name, UNIT).strip()


class UnitDaemon(Daemon):
    """remorad as systemd runs it, in the network namespace of the lab's load balancer."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.runtime_dir = "/run/remora"

    def write_config(self, more=""):
        text = pathlib.Path(self.config.path).read_text(encoding="utf-8")
        CONFIG.write_text(text.replace(self.config.history, HISTORY) + more, encoding="utf-8")

    def start(self):
        self.write_config()
        settings = pathlib.Path(f"/run/systemd/system/{UNIT}.d/lab.conf")
        settings.parent.mkdir(parents=True, exist_ok=True)
        lb = namespaces.path_of(self._layout.namespace(topology.LB))
        settings.write_text(f"[Service]\nNetworkNamespacePath={lb}\n", encoding="ascii")
        done("systemctl", "daemon-reload")
        done("systemctl", "start", UNIT)

    def process(self):
        pid = int(unit_property("MainPID"))
        if pid == 0:
            return None
        return {"what": "remorad", "pid": pid, "started": processes.started_at(pid)}

    def stop(self):
        done("systemctl", "stop", UNIT)

    def last_words(self, lines=3):
        return run("journalctl", "--no-pager", "-u", UNIT, "-n", str(lines), "-o", "cat").stdout


Lab.daemon_type = UnitDaemon


class Install(unittest.TestCase):
    def test_the_packages_install_and_start_nothing(self):
        done("dpkg", "--install", *(str(deb) for deb in sorted(PACKAGES.glob("*.deb"))))
        self.assertEqual(unit_property("ActiveState"), "inactive")
        self.assertEqual(run("systemctl", "is-enabled", UNIT).stdout.strip(), "disabled")
        self.assertEqual(done("systemctl", "cat", UNIT).count("ExecStart=/usr/sbin/remorad\n"), 1)


class Unit(Journey):
    clients = 1
    brokers = 2
    settings = Settings(
        groups={"temperature": [1], "default": [2]}, routes=((TOPIC, "temperature"),),
        clients=1000, flows=1000)

    def setUp(self):
        super().setUp()
        self.addCleanup(run, "systemctl", "reset-failed", UNIT)
        self.teach("client0", TOPIC)
        self.counted = self.counters()
        self.publisher = Paho(self.lab, "client0")
        self.addCleanup(self.publisher.kill)
        self.publish()

    def publish(self):
        self.feed_in_step(self.publisher, TOPIC, 1)

    def unnoticed(self):
        """Traffic flows during the block, and nothing happens to it."""
        return self.meanwhile(self.publish, every_s=0.2)

    def expect_nothing_lost(self):
        self.publish()
        self.expect_all_delivered()
        counters = self.counters()
        for name in ("RESET", "NO_FLOW"):
            self.assertEqual(counters[name], self.counted[name], name)

    def programs_on_the_interface(self):
        shown = namespaces.run(
            self.lab.namespace(topology.LB), ["ip", "-d", "link", "show", "dev", "eth0"],
            stdout=subprocess.PIPE, text=True, check=True)
        return shown.stdout.count("prog/xdp")

    def journal(self, *options):
        return done("journalctl", "--no-pager", "-u", UNIT, "-o", "cat", *options)

    def status_text(self):
        return unit_property("StatusText")

    def test_a_start_ends_when_remorad_is_ready(self):
        self.daemon.stop()
        done("systemctl", "start", UNIT)
        self.assertIsNotNone(self.daemon.status(), "it answers at once")
        self.assertEqual(unit_property("ActiveState"), "active")
        self.assertEqual(self.programs_on_the_interface(), 1, "bpf(2) works in the sandbox")
        wanted = r"\b\d+ flows?, config of [-\d]+ \d\d:\d\d in force"
        self.wait_until(lambda: re.search(wanted, self.status_text()), "the line of the status")
        self.expect_nothing_lost()

    def test_the_sandbox_is_tight(self):
        said = done("systemd-analyze", "--no-pager", "security", UNIT)
        exposure = float(re.search(r"Overall exposure level for \S+ (\d+\.\d)", said).group(1))
        self.assertLessEqual(exposure, MOST_EXPOSURE)
        with open(f"/proc/{self.daemon.process()['pid']}/status", encoding="ascii") as file:
            status = dict(map(str.strip, line.split(":", 1)) for line in file)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Seccomp"], "2")

    def test_a_reload_succeeds_or_fails_as_a_whole(self):
        added = '\n[[route]]\nfilter = "a/b"\ngroup = "temperature"\n'
        self.daemon.write_config(added)
        done("systemctl", "reload", UNIT)
        self.assertIn('route "a/b" added', self.journal())

        self.daemon.write_config(added + "\n[nonsense]\n")
        refused = run("systemctl", "reload", UNIT)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(unit_property("ActiveState"), "active")
        self.assertIn(
            "reload REFUSED, the old configuration is in force", self.journal("-p", "err"))
        self.wait_until(lambda: "REFUSED" in self.status_text(), "the refusal in the status")

        self.daemon.write_config(added)
        done("systemctl", "reload", UNIT)
        self.wait_until(lambda: "REFUSED" not in self.status_text(), "the end of the refusal")
        self.expect_nothing_lost()

    def test_a_restart_goes_unnoticed(self):
        before = self.daemon.process()
        with self.unnoticed():
            done("systemctl", "restart", UNIT)
        self.assertNotEqual(self.daemon.process(), before)
        self.expect_nothing_lost()

    def test_a_daemon_that_hangs_is_restarted_while_traffic_flows(self):
        before = self.daemon.process()
        with self.unnoticed():
            os.kill(before["pid"], signal.SIGSTOP)
            self.wait_until(
                lambda: self.daemon.process() not in (None, before)
                and unit_property("ActiveState") == "active",
                "the watchdog")
        self.assertIn("Watchdog timeout", self.journal())
        self.assertEqual(unit_property("NRestarts"), "1")
        self.expect_nothing_lost()

    def test_a_wrong_configuration_stops_no_forwarding(self):
        self.daemon.stop()
        self.daemon.write_config("\n[nonsense]\n")
        self.assertNotEqual(run("systemctl", "start", UNIT).returncode, 0)
        # No restart would help, so there is none.
        self.assertEqual(unit_property("ActiveState"), "failed")
        self.assertEqual(unit_property("ExecMainStatus"), "2")
        self.publish()
        self.daemon.start()
        self.expect_nothing_lost()

    def upgrade(self):
        # dpkg's process has the load balancer's network, as on a real host.
        with namespaces.inside(self.lab.namespace(topology.LB)):
            return done("dpkg", "--force-confold", "--install",
                        *(str(deb) for deb in sorted(PACKAGES.glob("later/*.deb"))))

    def test_an_upgrade_restarts_remorad_unnoticed(self):
        before = self.daemon.process()
        self.daemon.ask("reals", "drain", self.lab.layout.broker_address(2))
        with self.unnoticed():
            self.upgrade()
        self.assertNotEqual(self.daemon.process(), before)
        self.assertEqual(unit_property("ActiveState"), "active")
        self.assertIn(self.real("broker2")["state"], ("draining", "drained"))
        self.expect_nothing_lost()

    def test_an_upgrade_leaves_the_former_daemon_if_its_file_is_refused(self):
        before = self.daemon.process()
        self.daemon.write_config("\n[nonsense]\n")
        said = self.upgrade()
        self.assertIn("this version does not accept /etc/remora/remora.toml", said)
        self.assertEqual(self.daemon.process(), before)
        self.expect_nothing_lost()

    def test_a_removed_package_ends_forwarding(self):
        self.wait_until(
            lambda: done("sqlite3", HISTORY, "SELECT count(*) FROM clients").strip() != "0",
            "the client in the history")
        self.publisher.kill()
        with namespaces.inside(self.lab.namespace(topology.LB)):
            done("dpkg", "--remove", "remora")
        self.assertEqual(self.programs_on_the_interface(), 0)
        self.assertTrue(CONFIG.exists() and pathlib.Path(HISTORY).exists())
        with namespaces.inside(self.lab.namespace(topology.LB)):
            done("dpkg", "--purge", "remora", "remora-broker", "remora-common")
        self.assertFalse(CONFIG.exists() or pathlib.Path(HISTORY).exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
