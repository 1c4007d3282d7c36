# SPDX-License-Identifier: Apache-2.0
"""Publishing clients for the journeys only: Paho C++, and `mqtt` from npm."""

import functools
import os
import pathlib
import shutil
import subprocess

from support import Publisher, build_folder, topology
from lab.state import only_one

_NPM_SOURCES = pathlib.Path(__file__).resolve().parent / "npm"


class PahoCpp(Publisher):
    """tests/journeys/paho_cpp_publisher.cpp, QoS 0."""

    kind = "Paho C++"

    def __init__(self, lab, node):
        super().__init__(lab, node, [
            os.path.join(build_folder(), "paho_cpp_publisher"),
            lab.layout.service_address, str(topology.MQTT_PORT), node,
        ])

    def publish(self, topic, payload):
        self._feed(f"{topic} {payload}")


class Npm(Publisher):
    """tests/journeys/npm/publisher.js; needs install_npm_client()."""

    kind = "npm mqtt"

    def __init__(self, lab, node, *options, client_id=None):
        super().__init__(lab, node, [
            shutil.which("node"), os.path.join(build_folder(), "npm", "publisher.js"),
            lab.layout.service_address, str(topology.MQTT_PORT), client_id or node, *options,
        ])

    def publish(self, topic, payload):
        self._feed(f"{topic} {payload}")


# A host that cannot reach npm's registry waits for this long, in each journey.
_NPM_PATIENCE_S = 60


@functools.cache
def install_npm_client():
    """Installs the npm client of the lock file into the build folder, unless it is there.

    Returns why that is impossible, or None. Journeys that run at the same time share it.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"no {program}: scripts/install-packages test"
    folder = pathlib.Path(build_folder()) / "npm"
    with only_one(folder):
        return _install_npm_client(folder)


def _install_npm_client(folder):
    # Replaced atomically: another journey's client may start now.
    fresh = shutil.copy(_NPM_SOURCES / "publisher.js", folder / "publisher.js.new")
    os.replace(fresh, folder / "publisher.js")
    lock = (_NPM_SOURCES / "package-lock.json").read_bytes()
    # Written last, once everything is installed.
    installed = folder / "installed.json"
    if installed.exists() and installed.read_bytes() == lock:
        return None
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_NPM_SOURCES / name, folder)
    try:
        result = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev",
             "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=_NPM_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        return f"npm ci: not done within {_NPM_PATIENCE_S} s"
    if result.returncode != 0:
        return f"npm ci: {' '.join(result.stdout.split())[-300:]}"
    installed.write_bytes(lock)
    return None
