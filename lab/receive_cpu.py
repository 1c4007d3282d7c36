# SPDX-License-Identifier: Apache-2.0
"""Makes one CPU receive all packets of the load balancer, while its programs stay attached.

Katran has a connection table for each CPU and relies on the NIC to bring all packets of a
connection to the same one. On veth the CPU that sends a packet also receives it, and a connection
whose ring has changed since would be lost. So a thread that stays on one CPU polls the device.
"""

import os
import subprocess

from lab import topology

_DEVICE = "eth0"


def pollers():
    """The ids of all threads that poll a device of that name, in every lab."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if _name_of(int(entry)).startswith(f"napi/{_DEVICE}-"):
            found.add(int(entry))
    return found


def _name_of(pid):
    """At most 15 characters of the process's name; empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def settle(layout, earlier):
    """Call this after attaching the programs, which makes the device's queue.

    `earlier` is pollers() from before that.
    """
    # /sys/class/net shows the devices of the namespace for which it was mounted.
    subprocess.run(
        ["ip", "netns", "exec", layout.namespace(topology.LB), "sh", "-c",
         f"echo 1 > /sys/class/net/{_DEVICE}/threaded"],
        check=True,
    )
    for poller in pollers() - earlier:
        os.sched_setaffinity(poller, {min(os.sched_getaffinity(0))})
        # A measurement runs with priority, and so must this thread.
        os.sched_setscheduler(poller, os.sched_getscheduler(0), os.sched_getparam(0))
