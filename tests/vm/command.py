# SPDX-License-Identifier: Apache-2.0
"""The command line of scripts/test-vm: selects checks and kernels, and reports the results."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from lab.build import LabError, build, build_folder, preset_folder, require_root
from tests.packages import clean_root
from tests.vm import kernels, unit_checks
from tests.vm.machine import Machine, Silence

PROJECT = pathlib.Path(__file__).resolve().parents[2]
CACHE = PROJECT / "build" / "vm"
JOURNEYS = PROJECT / "tests" / "journeys"

# Tests that run the BPF programs. Each takes minutes, because every test case loads them again.
BPF_TESTS = ("xdp_test", "probe_test", "health_test")
CORE_JOURNEYS = (
    "one_client", "long_lived_connection", "changing_topics", "many_clients", "versions",
    "wildcards", "shared_group", "restart", "no_daemon", "will", "policies", "path_mtu",
    "outer_source", "vlan",
)

# The devices with which brokers remove outer headers, if the kernel has them.
STOCK_DEVICES = ("ipip", "ip6_tunnel")

# Seconds of the guest's time. A check that takes longer hangs.
LOAD_PATIENCE_S = 60
TEST_PATIENCE_S = 300


def main(description, argv):
    arguments = parser(description).parse_args(argv)
    try:
        require_root()
        subprocess.run([PROJECT / "scripts" / "install-packages", "vm"], check=True)
        return run_unit_checks(arguments) if arguments.systemd else run(arguments)
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
    top.add_argument("--systemd", action="store_true")
    top.add_argument("--packages", type=pathlib.Path, metavar="FOLDER",
                     help="for --systemd: where they are, instead of building them")
    top.add_argument(
        "names", nargs="*", metavar="NAME",
        help=f"a journey: a file of tests/journeys, without .py; or {' or '.join(BPF_TESTS)}",
    )
    return top


def run(arguments):
    checks = wanted_checks(arguments)
    series_wanted = kernels.SERIES if arguments.kernel == "all" else [arguments.kernel]
    return count(ok for series in series_wanted for ok in run_on(series, checks))


def run_unit_checks(arguments):
    """Boots Debian 12's kernel with systemd, and the packages in its files."""
    clean_root.enter_private_mounts()
    subprocess.run([PROJECT / "scripts" / "install-packages", "test-package"], check=True)
    packages = arguments.packages or PROJECT / "build" / "packages"
    if arguments.packages is None:
        subprocess.run([PROJECT / "scripts" / "package", packages], check=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    with unit_checks.files(packages) as (files, checks):
        wanted = [check for check in checks if not arguments.names
                  or not check["needs"] or check["name"].split(maxsplit=1)[1] in arguments.names]
        return count(run_on(kernels.SERIES[0], wanted, files=files, boots_systemd=True))


def count(outcomes):
    """Prints how many passed and failed; returns the exit code."""
    outcomes = list(outcomes)
    print(f"{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    return 0 if all(outcomes) else 1


# ---- the checks, in the form that tests/vm/inside.py reads ----------------------------


def wanted_checks(arguments):
    for name in arguments.names:
        if name not in BPF_TESTS and not (JOURNEYS / f"{name}.py").exists():
            raise LabError(f"there is no journey {name} in {JOURNEYS}")
    if "REMORA_BUILD" not in os.environ:
        build("release")
        os.environ["REMORA_BUILD"] = preset_folder("release")
    if arguments.load_only:
        return load_checks()
    first = [device_check()] if arguments.names else [*load_checks(), device_check()]
    needs = [check["name"] for check in first]
    return first + [named_check(name, needs) for name in arguments.names or CORE_JOURNEYS]


def load_checks():
    objects = sorted(built("bpf").glob("*.bpf.o"))
    if not objects:
        raise LabError(f"{built('bpf')} has no BPF objects: build the project first")
    program = str(PROJECT / "tests" / "vm" / "load.py")
    return [
        check(f"load {path.name}", python(program, str(path)), LOAD_PATIENCE_S) for path in objects
    ]


def device_check():
    return check(f"devices {', '.join(STOCK_DEVICES)}", ["modprobe", "-a", *STOCK_DEVICES], 60)


def named_check(name, needs):
    if name in BPF_TESTS:
        return check(name, [str(built(name)), "--gtest_brief=1"], 10 * TEST_PATIENCE_S, needs)
    return check(f"journey {name}", python(str(JOURNEYS / f"{name}.py")), TEST_PATIENCE_S, needs)


def check(name, argv, patience_s, needs=()):
    return {
        "name": name, "argv": argv, "patience_s": patience_s, "needs": list(needs),
        "environment": {"REMORA_BUILD": str(built())},
    }


def python(*argv):
    return ["/usr/bin/python3", "-B", *argv]


def built(*parts):
    path = pathlib.Path(build_folder()).resolve().joinpath(*parts)
    if not path.exists():
        raise LabError(f"{path} is missing: build the project first")
    return path


# ---- running them ------------------------------------------------------------------


def run_on(series, checks, **machine_options):
    """Runs `checks` on the newest kernel of `series`; yields for each whether it passed."""
    kernel = kernels.fetch(series, CACHE / "kernels")
    logs = CACHE / "runs" / series
    logs.mkdir(parents=True, exist_ok=True)
    missing = [check["name"] for check in checks]
    finished = False
    why_missing = "the machine ended before it"
    # Several may run at the same time.
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        machine = Machine(
            kernel, pathlib.Path(folder), {"modules": str(kernel.modules), "checks": checks},
            **machine_options,
        )
        try:
            for event in machine.events():
                if "booted" in event:
                    print(f"{series}  Linux {event['booted']}", flush=True)
                elif "ended" in event:
                    missing.remove(event["ended"])
                    yield report(series, logs, event)
                elif "finished" in event:
                    finished = True
                    why_missing = "not tried, as one before it failed"
        except Silence as silence:
            why_missing = str(silence)
        shutil.copy(machine.console, logs)
    if not finished:
        print(last_lines(logs / machine.console.name))
    for name in missing:
        print(f"{series}  FAILED  {name}: {why_missing}", flush=True)
        yield False


def last_lines(path, count=30):
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])


def report(series, logs, event):
    name, output = event["ended"], event["output"].rstrip()
    (logs / (name.replace(" ", "-") + ".log")).write_text(output + "\n")
    ok = event["code"] == 0
    outcome = "ok    " if ok else "FAILED"
    detail = ""
    if ok and name.startswith("load "):
        programs = [line.split() for line in output.splitlines()]
        detail = ": " + ", ".join(
            f"{program} {int(count):,} instructions, {float(seconds):.2f} s"
            for program, count, seconds in programs
        )
    print(f"{series}  {outcome}  {name}{detail}  ({event['seconds']} s)", flush=True)
    if not ok:
        print(output if event["code"] is not None else output + "\nended: it took too long")
    return ok
