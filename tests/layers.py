#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No file includes upwards: the folders are the architecture.

    tests/layers.py [ROOT]

Prints each include that crosses a boundary in the wrong direction, as FILE includes HEADER.
"""

import re
import subprocess
import sys
from pathlib import Path

# The rooms of remorad, the lowest first. A file may include its own room and those before it.
ROOMS = [
    "daemon/base",
    "daemon/mqtt",
    "daemon/ring",
    "daemon/config",
    "daemon/packets",
    "daemon/kernel",
    "daemon/forwarders",
    "daemon/steering",
    "daemon/health",
    "daemon/sessions",
    "daemon/events",
    "daemon/control",
    "daemon",
]
# Rooms without state: all that the tools may link.
STATELESS = ["daemon/base", "daemon/mqtt", "daemon/ring", "daemon/config", "daemon/packets"]

# What the other folders may include of this project.
ALLOWED = {
    "bpf": ["bpf"],
    "xdp": ["bpf", "xdp"],
    "tc": ["bpf", "tc"],
    "log": ["log"],
    "store": ["log", "store"],
    "cli": ["bpf", "cli", *STATELESS],
}
SHARED = ["bpf", "log", "store"]  # below every room of the daemon


def allowed_for(folder):
    """The folders that a file of `folder` may include; None: it is not checked."""
    if folder in ROOMS:
        return [*SHARED, *ROOMS[: ROOMS.index(folder) + 1]]
    return ALLOWED.get(folder.split("/")[0])


def folder_of(path):
    folder = str(Path(path).parent)
    return folder if folder in ROOMS else folder.split("/")[0]


def violations(root):
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "*.h", "*.c", "*.cpp"],
        check=True, capture_output=True, text=True).stdout.split()
    for name in listed:
        path = Path(root, name)
        allowed = allowed_for(folder_of(name))
        if allowed is None or not path.exists():
            continue
        for header in re.findall(r'^\s*#include "([^"]+)"', path.read_text(), re.MULTILINE):
            if "/" in header and folder_of(header) not in allowed:
                yield f"{name} includes {header}"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).resolve().parent.parent)
    found = list(violations(root))
    print("\n".join(found) or "no include points upwards")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
