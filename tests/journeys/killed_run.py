#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A journey and a demo that are killed leave nothing that disturbs the next run."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import unittest

from support import PATIENCE_S, main, namespaces, network
from lab import processes
from lab.build import PROJECT, build_folder
from lab.lab import Lab
from lab.waiting import wait_until


class KilledRun(unittest.TestCase):
    def run_and_kill(self, name, argv, told):
        """Starts a run in the lab `name`, kills it once its clients publish; its process."""
        self.addCleanup(lambda: Lab(name).down())
        run = subprocess.Popen(
            argv, env={**os.environ, "REMORA_LAB": name, "REMORA_BUILD": build_folder()},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        with run:
            try:
                wait_until(
                    lambda: told(Lab(name)) or run.poll() is not None, "the run to get going")
                self.assertIsNone(run.poll(), "the run has ended by itself")
            finally:
                run.send_signal(signal.SIGKILL)
        return Lab(name)

    def at_work(self, lab):
        """Whether remorad has counted messages of the run's clients."""
        with contextlib.suppress(RuntimeError, OSError, ValueError):
            return lab.daemon is not None and lab.daemon.counters()["PUBLISH"] > 5
        return False

    def expect_only_services_left(self, lab):
        """Publishers and subscribers end with the run; remorad and the brokers stay for `down`."""
        services = {process["pid"] for process in lab.state.processes}
        names = lab.state.values["namespaces"]

        def left():
            return {p for pids in network.inhabitants(names).values() for p in pids} - services

        wait_until(lambda: not left(), "the run's clients to end")

    def expect_nothing_left(self, lab):
        self.assertEqual([n for n in lab.state.values["namespaces"] if namespaces.exists(n)], [])
        self.assertFalse(any(processes.is_running(p) for p in lab.state.processes))
        self.assertFalse(os.path.exists(lab.state.folder))
        self.assertFalse(os.path.exists(lab.daemon.pins))

    def test_a_journey(self):
        argv = [
            sys.executable, str(pathlib.Path(__file__).with_name("long_lived_connection.py")),
            "LongLivedConnection.test_a_living_connection_changes_its_topic",
        ]
        # A journey's lab is named after its file; the name may have to be cut.
        killed = self.run_and_kill("j-long-lived-connect", argv, self.at_work)
        self.expect_only_services_left(killed)
        again = subprocess.run(argv, capture_output=True, text=True, timeout=5 * PATIENCE_S,
                               check=False)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.expect_nothing_left(killed)

    def test_a_demo(self):
        argv = [os.path.join(PROJECT, "scripts", "demo"), "--seconds-per-phase", "6"]
        killed = self.run_and_kill("j-killed-demo", argv, self.at_work)
        self.expect_only_services_left(killed)
        # The next demo calls this first.
        Lab("j-killed-demo").clear_abandoned()
        self.expect_nothing_left(killed)


if __name__ == "__main__":
    main()
