# SPDX-License-Identifier: Apache-2.0
"""The unit under a real systemd: a Debian 12 of its own boots with systemd as its first process.

The packages are installed in it, and a lab's traffic goes through the unit's remorad.

The checks themselves run in the guest: unit_test.py.
"""

import contextlib
import pathlib
import shutil

from tests.packages import clean_root, command, debs

_HERE = pathlib.Path(__file__).resolve().parent
_PROJECT = _HERE.parents[1]
_TEST = _HERE / "unit_test.py"
_PATIENCE_S = 600

# The guest needs these besides the packages and their dependencies.
_PACKAGES = (
    "bpftool", "busybox-static", "ethtool", "iproute2", "iputils-ping", "kmod", "mosquitto",
    "mosquitto-clients", "procps", "python3", "python3-paho-mqtt", "sqlite3", "systemd",
)

# In this order: the first one installs, the last one purges.
TESTS = (
    "Install.test_the_packages_install_and_start_nothing",
    "Unit.test_a_start_ends_when_remorad_is_ready",
    "Unit.test_the_sandbox_is_tight",
    "Unit.test_a_reload_succeeds_or_fails_as_a_whole",
    "Unit.test_a_restart_goes_unnoticed",
    "Unit.test_a_daemon_that_hangs_is_restarted_while_traffic_flows",
    "Unit.test_a_wrong_configuration_stops_no_forwarding",
    "Unit.test_an_upgrade_restarts_remorad_unnoticed",
    "Unit.test_an_upgrade_leaves_the_former_daemon_if_its_file_is_refused",
    "Unit.test_a_removed_package_ends_forwarding",
)

_JOB_UNIT = """\
[Unit]
DefaultDependencies=no
After=basic.target systemd-journald.service

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'exec /usr/bin/python3 -B "$$JOB_PROGRAM" "$$JOB"'
PassEnvironment=JOB_PROGRAM JOB
StandardOutput=journal+console
TimeoutStartSec=infinity
"""
_JOB_TARGET = """\
[Unit]
Requires=basic.target
After=basic.target
Wants=job.service
"""


@contextlib.contextmanager
def files(packages_folder):
    """The guest's files: yields (root, checks in the form that inside.py reads)."""
    packages = debs.find(packages_folder)
    lower = clean_root.fetch(command.ROOTS / "systemd", _PACKAGES)
    root = clean_root.CleanRoot(lower)
    try:
        needed = sorted({name for deb in packages.values() for name in _dependencies(deb)})
        root.run("apt-get", "-qq", "-y", "--no-install-recommends", "install", *needed)
        root.share(_PROJECT)
        root.hide_kernel()
        folder = root.path / "srv/remora"
        later = folder / "later"
        later.mkdir(parents=True)
        for name, deb in packages.items():
            shutil.copy(deb, folder / f"{name}.deb")
        debs.make_successors(packages, later)
        _make_programs(folder / "programs")
        _make_units(root.path / "etc/systemd/system")
        yield root.path, _checks()
    finally:
        root.remove()


def _dependencies(deb):
    names = (part.split()[0] for part in debs.field(deb, "Depends").split(","))
    return [name for name in names if not name.startswith("remora")]


def _make_programs(folder):
    """A folder that looks like a build to the lab."""
    (folder / "bpf").mkdir(parents=True)
    for name in ("remorad", "remoractl", "remora-decap"):
        (folder / name).symlink_to(f"/usr/sbin/{name}")
    command.build_xdp_pass(folder)


def _make_units(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.service").write_text(_JOB_UNIT)
    (folder / "job.target").write_text(_JOB_TARGET)
    for unit in ("serial-getty@ttyS0.service", "getty.target", "mosquitto.service"):
        with contextlib.suppress(FileExistsError):
            (folder / unit).symlink_to("/dev/null")
    for wants in folder.glob("*.wants"):
        shutil.rmtree(wants)


def _checks():
    first = None
    for name in TESTS:
        yield {
            "name": f"unit {name.split('.')[1].removeprefix('test_').replace('_', ' ')}",
            "argv": ["/usr/bin/python3", "-B", str(_TEST), name],
            "patience_s": _PATIENCE_S,
            "needs": [first] if first else [],
            "environment": {"REMORA_BUILD": "/srv/remora/programs"},
        }
        first = first or "unit the packages install and start nothing"
