#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No chain of calls may need more stack than Linux 6.1 gives: stack_test.py BPFTOOL OBJECT...

That kernel allows 512 bytes in all, and rounds the part of each function up to 32. Later kernels
round to 16 or do not add the parts up, so they load programs that 6.1 refuses. This test loads each
object here, as root, reads how much stack the verifier found for each function, and adds it up along
all chains of calls. Prints the deepest one of each program.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.vm import load

STACK, PART = 512, 32
_TOTALS, _LOG_SIZE = 4, 1 << 16


def functions_of(listing):
    """The functions of a program as bpftool lists it: [(first instruction, name, {called})]."""
    functions = []
    is_new, name = True, "main"
    for line in listing.splitlines():
        if re.match(r"\S.*:$", line):
            is_new, name = True, re.sub(r"\(.*", "", line).split()[-1].rstrip(":")
        at = re.match(r"\s*(\d+): \(", line)
        if not at:
            continue
        if is_new:
            functions.append((int(at[1]), name, set()))
            is_new = False
        # Calls, and functions handed to bpf_loop(); both count from the next instruction.
        to = re.search(r"(?:call pc|subprog\[)([+-]\d+)", line)
        if to:
            functions[-1][2].add(int(at[1]) + 1 + int(to[1]))
    return functions


def deepest(functions, parts):
    """The deepest chain of calls: (bytes, [name and bytes of each function])."""
    known = {}

    def below(first):
        if first not in known:
            number = next(i for i, function in enumerate(functions) if function[0] == first)
            _, name, called = functions[number]
            rounded = -(-max(parts[number], 1) // PART) * PART
            most, chain = max((below(to) for to in called), default=(0, []))
            known[first] = (rounded + most, [f"{name} {parts[number]}", *chain])
        return known[first]

    return below(functions[0][0])


def check(bpftool, path):
    """Whether the programs of the object fit."""
    opened = load.Object(path, _TOTALS, _LOG_SIZE)
    if not opened.load():
        print(f"{path}: this kernel does not load it")
        return False
    fits = True
    for name, log in opened.logs.items():
        parts = re.search(r"^stack depth ([\d+]+)", log.value.decode(errors="replace"), re.M)
        parts = [int(part) for part in parts[1].split("+")]
        listing = subprocess.run([bpftool, "prog", "dump", "xlated", "id", str(opened.id_of(name))],
                                 check=True, capture_output=True, text=True).stdout
        functions = functions_of(listing)
        if len(functions) != len(parts):
            print(f"{name}: {len(functions)} functions are listed, {len(parts)} were verified")
            fits = False
            continue
        size, chain = deepest(functions, parts)
        print(f"{name}: {size} of {STACK} bytes: {' > '.join(chain)}")
        fits = fits and size <= STACK
    return fits


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: only root may load programs")
        sys.exit(77)
    sys.exit(0 if all([check(sys.argv[1], path) for path in sys.argv[2:]]) else 1)
