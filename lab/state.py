# SPDX-License-Identifier: Apache-2.0
"""Records in a file what a lab has made, so that it can be removed after any crash.

Namespaces are recorded before they are made, processes as soon as they have an id. The lab removes
and ends only what the file names.
"""

import contextlib
import fcntl
import json
import os
import shutil

from lab import processes

STATE_ROOT = "/run/remora-lab"


class State:
    """The state folder of one lab, and `state.json` in it."""

    def __init__(self, name):
        self.folder = os.path.join(STATE_ROOT, name or "default")
        self._path = os.path.join(self.folder, "state.json")
        self.values = {}
        with contextlib.suppress(FileNotFoundError):
            with open(self._path, encoding="utf-8") as file:
                self.values = json.load(file)

    def exists(self):
        return os.path.exists(self._path)

    def file(self, *parts):
        return os.path.join(self.folder, *parts)

    def save(self, **values):
        self.values.update(values)
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)  # mosquitto drops root before it opens its log
        fresh = self._path + ".new"
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump(self.values, file, indent=1)
        os.replace(fresh, self._path)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.values = {}

    @property
    def processes(self):
        return self.values.get("processes", [])

    def record(self, what, pid):
        """Records the process `pid` under the name `what`."""
        kept = [p for p in self.processes if processes.is_running(p)]
        entry = {"what": what, "pid": pid, "started": processes.started_at(pid)}
        self.save(processes=[*kept, entry])

    def find(self, what):
        """The running process that was recorded as `what`, or None."""
        for process in self.processes:
            if process["what"] == what and processes.is_running(process):
                return process
        return None


@contextlib.contextmanager
def only_one(folder=STATE_ROOT):
    """Holds the lock of a folder, waiting for it if need be."""
    os.makedirs(folder, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
