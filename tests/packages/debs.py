# SPDX-License-Identifier: Apache-2.0
"""The .deb files that scripts/package builds."""

import pathlib
import subprocess

NAMES = ("remora-common", "remora", "remora-broker")


def find(folder):
    """{name: file} of the packages in `folder`, without those of debug symbols."""
    found = {}
    for name in NAMES:
        files = sorted(pathlib.Path(folder).glob(f"{name}_*.deb"))
        if len(files) != 1:
            raise RuntimeError(f"{folder} has {len(files)} packages {name}, not one")
        found[name] = files[0]
    return found


def field(deb, name):
    return _output("dpkg-deb", "--field", deb, name)


def make_successors(debs, folder):
    """Writes a later version of each package to `folder`: the same programs, other examples of the
    configuration. Returns {name: file}."""
    made = {}
    for name, deb in debs.items():
        unpacked = folder / name
        _output("dpkg-deb", "--raw-extract", deb, unpacked)
        control = unpacked / "DEBIAN/control"
        version = field(deb, "Version")
        control.write_text(control.read_text().replace(version, successor_of(version)))
        for example in (unpacked / "etc/remora").glob("*.toml"):
            with example.open("a") as file:
                file.write("# The example of a later version.\n")
        made[name] = folder / f"{name}-later.deb"
        _output("dpkg-deb", "--build", "--root-owner-group", unpacked, made[name])
    return made


def successor_of(version):
    return version + "+later"


def _output(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
