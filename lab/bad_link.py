# SPDX-License-Identifier: Apache-2.0
"""Makes the link from the gateway to the load balancer lose and reorder TCP segments.

Only towards the load balancer: the brokers' answers do not pass there. lab/bad_link.bpf.c says how.
"""

import dataclasses
import json
import os
import struct
import subprocess

from lab import namespaces, network, topology

_LAYOUT = struct.Struct("=QIIQQQ")  # struct link


@dataclasses.dataclass(frozen=True)
class Counts:
    """What became of the segments so far. The late ones arrived, all but a few at the very end."""

    segments: int
    lost: int
    late: int


def pins_of(layout):
    return os.path.join(network.BPFFS, f"{layout.instance}-bad-link")


class BadLink:
    """The link of `layout`, made bad for as long as the lab is up.

    `lose` and `delay` are shares of all segments, 0 to 1; `seed` chooses them.
    """

    def __init__(self, layout, build, *, lose, delay, seed):
        self._map = os.path.join(pins_of(layout), "links")
        program = os.path.join(pins_of(layout), "pass_some")
        for node in layout.client_nodes:
            # Whole checksums in segments of the MTU: what is late is copied as it is.
            _run(layout, node, ["ethtool", "-K", "eth0", "tx", "off"])
        os.makedirs(pins_of(layout))
        _run(layout, topology.GATEWAY, [
            "bpftool", "prog", "load", os.path.join(build, "bpf", "bad_link.bpf.o"), program,
            "type", "classifier", "pinmaps", pins_of(layout),
        ])
        value = _LAYOUT.pack(seed & (1 << 64) - 1, _share(lose), _share(delay), 0, 0, 0)
        _run(layout, topology.GATEWAY, [
            "bpftool", "map", "update", "pinned", self._map, "key", "0", "0", "0", "0",
            "value", *map(str, value),
        ])
        for argv in (
            ["tc", "qdisc", "add", "dev", "lb0", "clsact"],
            ["tc", "filter", "add", "dev", "lb0", "egress", "bpf", "direct-action",
             "object-pinned", program],
        ):
            _run(layout, topology.GATEWAY, argv)

    def counts(self):
        dump = subprocess.run(
            ["bpftool", "--json", "map", "dump", "pinned", self._map],
            capture_output=True, check=True,
        )
        value = bytes(int(byte, 16) for byte in json.loads(dump.stdout)[0]["value"])
        return Counts(*_LAYOUT.unpack(value)[3:])


def _share(part):
    return min(round(part * (1 << 32)), (1 << 32) - 1)


def _run(layout, node, argv):
    result = namespaces.run(
        layout.namespace(node), argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {' '.join(result.stderr.split())}")
