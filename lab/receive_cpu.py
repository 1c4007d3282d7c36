# SPDX-License-Identifier: Apache-2.0
"""Lets one CPU take all that the load balancer receives, as long as its programs stay attached.

Katran keeps a table of connections for each CPU and relies on the NIC, which brings all packets of
a connection to one. On veth a packet is taken by whichever CPU sent it, and a connection whose
ring has changed since would then be lost. So the device is polled by a thread that stays on a CPU.
"""

import os
import subprocess

from lab import topology

_DEVICE = "eth0"


def pollers():
    """The process ids of the threads that poll devices of that name, of all labs."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if _name_of(int(entry)).startswith(f"napi/{_DEVICE}-"):
            found.add(int(entry))
    return found


def _name_of(pid):
    """At most 15 characters of it; empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def settle(layout, earlier):
    """After the programs were attached, which makes the device's queue; `earlier` are the
    pollers() that there were before."""
    # /sys/class/net shows the devices of the namespace for which it was mounted.
    subprocess.run(
        ["ip", "netns", "exec", layout.namespace(topology.LB), "sh", "-c",
         f"echo 1 > /sys/class/net/{_DEVICE}/threaded"],
        check=True,
    )
    for poller in pollers() - earlier:
        os.sched_setaffinity(poller, {min(os.sched_getaffinity(0))})
        # In a measurement, ahead of the machine as all the others are.
        os.sched_setscheduler(poller, os.sched_getscheduler(0), os.sched_getparam(0))
