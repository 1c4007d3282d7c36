# SPDX-License-Identifier: Apache-2.0
"""Controls and queries remorad in the lab's `lb`."""

import json
import os
import signal
import subprocess

from lab import namespaces, network, processes, receive_cpu, topology
from lab.config import KATRAN_SHARED, LIKE_A_NIC, shared_root_array
from lab.waiting import PATIENCE_S, wait_until

REMORAD = "remorad"
# Exit code of `remoractl status` when remorad answers and reports a problem.
PROBLEM = 3


class Daemon:
    """The remorad of one lab. `config` is a lab.config.Config."""

    def __init__(self, layout, state, build, config):
        self._layout = layout
        self._state = state
        self._build = build
        self.config = config
        self.runtime_dir = state.file("run")
        self.log = state.file("remorad.log")

    @property
    def pins(self):
        return os.path.join(network.BPFFS, "remora", self.config.instance)

    @property
    def root_array(self):
        if self.config.forwarder == KATRAN_SHARED:
            return shared_root_array(self._layout)
        return os.path.join(self.pins, "root_array")

    def process(self):
        """The running daemon as recorded, or None."""
        return self._state.find(REMORAD)

    def start(self):
        """Starts the daemon and returns once its control socket answers."""
        os.makedirs(self.runtime_dir, exist_ok=True)
        lb = self._layout.namespace(topology.LB)
        pollers = receive_cpu.pollers()
        self._state.record(REMORAD, namespaces.spawn_service(lb, self._argv(), self.log))
        wait_until(self._answers_or_has_ended, "an answer of remorad")
        if self.config.receiving == LIKE_A_NIC:
            receive_cpu.settle(self._layout, pollers)

    def _answers_or_has_ended(self):
        if self.process() is None:
            raise RuntimeError(f"remorad has ended: {self.last_words()}")
        return self.status() is not None

    def _argv(self, *more):
        return [
            os.path.join(self._build, REMORAD),
            "--config", self.config.path,
            "--runtime-dir", self.runtime_dir,
            "--bpffs", network.BPFFS,
            *more,
        ]

    def last_words(self, lines=3):
        """The end of the log, in one line."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return " | ".join(line.strip() for line in file.readlines()[-lines:]) or "(no log)"
        except FileNotFoundError:
            return "(no log)"

    def stop(self):
        """Stops it cleanly: pins and programs stay, and so does forwarding."""
        if process := self.process():
            processes.end([process])

    def kill(self):
        """Sends SIGKILL."""
        if process := self.process():
            os.kill(process["pid"], signal.SIGKILL)
            processes.end([process])

    def reload(self):
        if process := self.process():
            os.kill(process["pid"], signal.SIGHUP)

    def throw_away(self):
        """Stops it, detaches its programs and removes all that it has pinned."""
        self.stop()
        result = namespaces.run(
            self._layout.namespace(topology.LB), self._argv("--detach"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S,
        )
        if result.returncode != 0:
            raise RuntimeError(f"remorad --detach: {' '.join(result.stdout.split())}")
        network.remove_pins(self.pins)

    def ask(self, *command):
        """`remoractl COMMAND --json`; throws with its message if it fails."""
        result = self._remoractl(*command)
        if result.returncode != 0:
            raise RuntimeError(result.stderr.strip())
        return json.loads(result.stdout)

    def status(self):
        """`remoractl status --json`, or None while no daemon answers."""
        # Callers poll while a daemon starts and the verifier needs the CPU: ask cheaply first.
        if not os.path.exists(os.path.join(self.runtime_dir, f"{self.config.instance}.sock")):
            return None
        result = self._remoractl("status")
        return json.loads(result.stdout) if result.returncode in (0, PROBLEM) else None

    def _remoractl(self, *command):
        argv = [
            os.path.join(self._build, "remoractl"),
            "--runtime-dir", self.runtime_dir,
            "--instance", self.config.instance,
            *command, "--json",
        ]
        return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def counters(self):
        """{counter of the kernel: value}. Throws when no daemon answers."""
        return self._values("counters")

    def own_counters(self):
        """{counter of the daemon: value}. Throws when no daemon answers."""
        return self._values("daemon")

    def _values(self, part):
        status = self.status()
        if status is None:
            raise RuntimeError("no answer from remorad's control socket")
        return {name: entry["value"] for name, entry in status[part].items()}
