# SPDX-License-Identifier: Apache-2.0
"""The operator's Katran server next to remorad: it owns slot 2 of the root array, and its own maps.

tests/katran_server stands in for it.
"""

import json
import os
import signal

from lab import config, namespaces, network, pinned, processes, topology
from lab.waiting import wait_until

_NAME = "katran"


class KatranServer:
    """The server of one lab; `build` is the build folder."""

    def __init__(self, layout, state, build, root_array):
        self._layout = layout
        self._state = state
        self._program = os.path.join(build, "katran_server_stand_in")
        self._root_array = root_array
        self._plan = state.file("katran.json")
        self.log = state.file("katran.log")

    def plan(self, groups, services):
        """Writes the server's plan: lab.config.GroupOfReals, and services as (address, port)."""
        gateway = network.mac_of(self._layout.namespace(topology.GATEWAY), "lb0")
        vips = [
            {"address": group.vip, "port": port, "reals": [
                {"address": address, "weight": weight} for address, weight in group.reals.items()]}
            for group in groups for port in sorted({port for _, port in services})
        ]
        with open(self._plan, "w", encoding="utf-8") as file:
            json.dump({"gateway_mac": gateway, "vips": vips}, file, indent=1)

    def groups(self):
        """The groups in the plan, as lab.config.GroupOfReals."""
        with open(self._plan, encoding="utf-8") as file:
            return [
                config.GroupOfReals(v["address"], {r["address"]: r["weight"] for r in v["reals"]})
                for v in json.load(file)["vips"]
            ]

    def wait_until_noticed(self, daemon):
        """remorad looks from time to time. Until then it expects the longer of the two headers."""
        wait_until(
            lambda: all(group["katran"] == "forwards"
                        for group in daemon.status()["groups"] if group["configured"]),
            "remorad to see that Katran forwards",
        )

    def remove_root_array(self):
        """The array outlives `remorad --detach`, because Katran may still use it."""
        if os.path.exists(self._root_array):
            os.unlink(self._root_array)

    def process(self):
        """The running server as recorded, or None."""
        return self._state.find(_NAME)

    def start(self):
        """Returns once its program has replaced the one in the slot."""
        slot = pinned.ForwarderSlot(self._root_array)
        before = slot.program()
        pid = namespaces.spawn_service(
            self._layout.namespace(topology.LB),
            [self._program, "--object", config.katran_object(), "--plan", self._plan,
             "--map-path", self._root_array, "--prog-pos", str(pinned.FORWARDER_SLOT)],
            self.log,
        )
        self._state.record(_NAME, pid)
        self._wait_until(lambda: slot.program() not in (None, before), "its program in the slot")

    def stop(self):
        """Stops the server. Its program stays in the slot."""
        if process := self.process():
            processes.end([process])

    def reload(self):
        """Returns once the latest plan() is in force."""
        before = os.path.getsize(self.log)
        os.kill(self.process()["pid"], signal.SIGHUP)

        def says_so():
            with open(self.log, "rb") as file:
                file.seek(before)
                return b"is in force\n" in file.read()

        self._wait_until(says_so, "its plan in force")

    def _wait_until(self, predicate, what):
        has_ended = False

        def is_decided():
            nonlocal has_ended
            has_ended = self.process() is None
            return predicate() or has_ended

        wait_until(is_decided, f"the Katran server: {what}")
        if has_ended:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                raise RuntimeError(f"the Katran server has ended: {file.read()[-500:]}")
