# SPDX-License-Identifier: Apache-2.0
"""Makes the link from the gateway to the load balancer lose and reorder TCP segments.

Only packets towards the load balancer are affected: the brokers' answers do not pass this link.
lab/bad_link.bpf.c explains how it works.
"""

import dataclasses
import json
import os
import struct
import subprocess

from lab import network, topology

_LAYOUT = struct.Struct("=QIIQQQ")  # struct link


@dataclasses.dataclass(frozen=True)
class Counts:
    """Segments so far. The late ones arrived, except a few at the very end."""

    segments: int
    lost: int
    late: int


class BadLink:
    """Makes the link of `layout` bad for as long as the lab is up.

    `pins` is a folder of the bpffs that goes with the lab. `lose` and `delay` are shares of all
    segments, 0 to 1; `seed` chooses them.
    """

    def __init__(self, layout, build, pins, *, lose, delay, seed):
        self._map = os.path.join(pins, "links")
        for node in layout.client_nodes:
            # A late segment is copied as it is: it needs a complete checksum and at most the MTU.
            network.run(layout.namespace(node), "ethtool", "-K", "eth0", "tx", "off")
        network.attach_tc(
            layout, os.path.join(build, "bpf", "bad_link.bpf.o"), pins, egress="pass_some"
        )
        # The program loses nothing until it has its settings.
        value = _LAYOUT.pack(seed & (1 << 64) - 1, _share(lose), _share(delay), 0, 0, 0)
        network.run(
            layout.namespace(topology.GATEWAY), "bpftool", "map", "update", "pinned", self._map,
            "key", "0", "0", "0", "0", "value", *map(str, value),
        )

    def counts(self):
        dump = subprocess.run(
            ["bpftool", "--json", "map", "dump", "pinned", self._map],
            capture_output=True, check=True,
        )
        value = bytes(int(byte, 16) for byte in json.loads(dump.stdout)[0]["value"])
        return Counts(*_LAYOUT.unpack(value)[3:])


def _share(part):
    return min(round(part * (1 << 32)), (1 << 32) - 1)
