# SPDX-License-Identifier: Apache-2.0
"""The command line of scripts/test-vm: which checks, on which kernels, and what came of them."""

import argparse
import json
import os
import pathlib
import subprocess
import sys

from lab.lab import LabError, build, build_folder, require_root
from tests.vm import kernels
from tests.vm.machine import Machine, Silence

PROJECT = pathlib.Path(__file__).resolve().parents[2]
CACHE = PROJECT / "build" / "vm"

# Nothing takes that long which is not going to take for ever.
_LOAD_PATIENCE_S = 60.0


def main(description, argv):
    arguments = parser(description).parse_args(argv)
    try:
        require_root()
        subprocess.run([PROJECT / "scripts" / "install-packages", "--vm"], check=True)
        return run(arguments)
    except (LabError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"test-vm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser(description):
    top = argparse.ArgumentParser(
        prog="scripts/test-vm", description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--kernel", choices=[*kernels.SERIES, "all"], default="all")
    top.add_argument("--load-only", action="store_true")
    return top


def run(arguments):
    if "REMORA_BUILD" not in os.environ:
        print("building", flush=True)
        build()
    checks = load_checks()
    wanted = kernels.SERIES if arguments.kernel == "all" else [arguments.kernel]
    passed = failed = 0
    for series in wanted:
        for ok in run_on(series, checks):
            passed += ok
            failed += not ok
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def load_checks():
    objects = sorted(pathlib.Path(build_folder()).resolve().glob("bpf/*.bpf.o"))
    if not objects:
        raise LabError(f"{build_folder()} has no BPF objects: build the project first")
    return [
        {
            "name": f"load {path.name}",
            "argv": ["/usr/bin/python3", "-B", str(PROJECT / "tests" / "vm" / "load.py"), str(path)],
            "patience_s": _LOAD_PATIENCE_S,
            "environment": {},
        }
        for path in objects
    ]


def run_on(series, checks):
    """Does `checks` on the newest kernel of `series`; yields for each whether it passed."""
    kernel = kernels.fetch(series, CACHE / "kernels")
    folder = CACHE / "runs" / series
    machine = Machine(kernel, folder, {"modules": str(kernel.modules), "checks": checks})
    missing = [check["name"] for check in checks]
    what_happened = "the machine ended before it"
    try:
        for event in machine.events():
            if "booted" in event:
                print(f"{series}  Linux {event['booted']}", flush=True)
            if "ended" in event:
                missing.remove(event["ended"])
                yield report(series, folder, event)
    except Silence as silence:
        what_happened = str(silence)
    if missing:
        print(machine.last_words())
    for name in missing:
        print(f"{series}  FAILED  {name}: {what_happened}", flush=True)
        yield False


def report(series, folder, event):
    name, output = event["ended"], event["output"].rstrip()
    (folder / (name.replace(" ", "-") + ".log")).write_text(output + "\n")
    ok = event["code"] == 0
    outcome = "ok    " if ok else "FAILED"
    detail = ""
    if ok and name.startswith("load "):
        programs = [line.split() for line in output.splitlines()]
        detail = ": " + ", ".join(f"{p} {int(n):,} instructions, {float(s):.2f} s"
                                  for p, n, s in programs)
    print(f"{series}  {outcome}  {name}{detail}  ({event['seconds']} s)", flush=True)
    if not ok:
        print(output if event["code"] is not None else output + "\nended: it took too long")
    return ok
