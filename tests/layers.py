#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The folders are the architecture: files include what their target links, and nothing else.

    tests/layers.py [ROOT]

daemon/CMakeLists.txt is the one place that says which room of the daemon needs which others. This
test reads it and prints, one a line:

- a file that includes a header of a room which its own room does not link;
- a room that links another one without including anything of it;
- a circle of rooms, in which there is no downwards;
- a tool of cli/ that links or includes a room with state.
"""

import re
import subprocess
import sys
from pathlib import Path

# The includes allowed in folders outside of daemon/. cli/ adds the rooms that it links.
ALLOWED = {
    "bpf": {"bpf"},
    "xdp": {"bpf", "xdp"},
    "tc": {"bpf", "tc"},
    "log": {"log"},
    "store": {"log", "store"},
    "cli": {"bpf", "cli"},
}


class Room:
    def __init__(self, words):
        self.name = words[0]
        self.is_stateless = "STATELESS" in words
        self.links = {word.removeprefix("remora_") for word in words if word.startswith("remora_")}


def rooms_of(root):
    """The rooms of daemon/CMakeLists.txt by name."""
    text = Path(root, "daemon/CMakeLists.txt").read_text()
    calls = re.findall(r"^remora_room\(([^)]*)\)", text, re.MULTILINE)
    rooms = {room.name: room for room in (Room(call.split()) for call in calls)}
    for room in rooms.values():
        room.links &= rooms.keys() | {"store", "log"}
    return rooms


def rooms_linked_by_tools(root, rooms):
    text = Path(root, "cli/CMakeLists.txt").read_text()
    calls = re.findall(r"^target_link_libraries\(([^)]*)\)", text, re.MULTILINE)
    words = {word for call in calls for word in call.split()}
    return {name for name in rooms if f"remora_{name}" in words}


def folder_of(path, rooms):
    """"base" for daemon/base/fd.h, "daemon" for daemon/daemon.h, "bpf" for bpf/abi.h."""
    parts = Path(path).parts
    if parts[0] == "daemon" and len(parts) > 2 and parts[1] in rooms:
        return parts[1]
    return parts[0]


def includes_of(root, rooms):
    """(file, its folder, header, the header's folder) for includes of other folders."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-co", "--exclude-standard", "*.h", "*.c", "*.cpp"],
        check=True, capture_output=True, text=True).stdout.split()
    for name in listed:
        path = Path(root, name)
        if not path.exists():
            continue
        folder = folder_of(name, rooms)
        for header in re.findall(r'^\s*#include "([^"]+)"', path.read_text(), re.MULTILINE):
            target = folder_of(header, rooms)
            if "/" in header and target != folder:
                yield name, folder, header, target


def allowed_for(folder, rooms, tools):
    """The folders that a file of `folder` may include; None: it is not checked."""
    if folder in rooms:
        return rooms[folder].links | {"bpf", "log"}
    if folder == "daemon":
        return rooms.keys() | {"bpf", "log", "store"}
    if folder == "cli":
        return ALLOWED["cli"] | tools
    return ALLOWED.get(folder)


def circles(rooms):
    """Removes rooms that link nothing any more until none is left, or a circle."""
    left = {name: room.links & rooms.keys() for name, room in rooms.items()}
    while free := {name for name, links in left.items() if not links & left.keys()}:
        for name in free:
            del left[name]
    if left:
        yield "a circle among the rooms " + ", ".join(sorted(left))


def violations(root):
    rooms = rooms_of(root)
    tools = rooms_linked_by_tools(root, rooms)
    used = {name: set() for name in rooms}
    for name, folder, header, target in includes_of(root, rooms):
        used.get(folder, set()).add(target)
        allowed = allowed_for(folder, rooms, tools)
        if allowed is not None and target not in allowed:
            yield f"{name} includes {header}"
    for name, room in rooms.items():
        for idle in sorted(room.links - used[name] - {"log"}):
            yield f"daemon/{name} links {idle} and includes nothing of it"
    yield from circles(rooms)
    for name in sorted(tools):
        if not rooms[name].is_stateless:
            yield f"cli links daemon/{name}, which has state"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).resolve().parent.parent)
    found = list(violations(root))
    print("\n".join(found) or "every include points downwards, along a link")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
