# SPDX-License-Identifier: Apache-2.0
"""The programs that the lab runs: where they are, and building them."""

import collections
import os
import re
import subprocess
import time

from lab.progress import Progress

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The lab's own command as messages name it, which depends on how it is installed.
LAB_COMMAND = os.environ.get("REMORA_LAB_COMMAND", "./scripts/lab")

# Options of each preset in addition to those in CMakePresets.json. The lab shows no man page, so it
# needs no tool for them.
_OPTIONS = {"programs": ["-DREMORA_MAN_PAGES=OFF"], "release": []}


class LabError(RuntimeError):
    """A mistake that the user can correct; its text is one line."""


def build_folder():
    """Where remorad is: REMORA_BUILD, or the folder of the preset `programs`."""
    return os.environ.get("REMORA_BUILD", preset_folder("programs"))


def preset_folder(preset):
    return os.path.join(PROJECT, "build", preset)


def program(folder, name):
    """The path of a program in the build folder `folder`."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        raise LabError(f"{path} is missing: build the project first")
    return path


def build(preset="programs"):
    """Builds the preset, unless REMORA_BUILD names a build to be used as it is."""
    if "REMORA_BUILD" not in os.environ:
        started = time.monotonic()
        progress = Progress()
        progress.show("building: looking for compilers and libraries")
        _run("cmake", "--preset", preset, *_OPTIONS[preset])
        _run("cmake", "--build", "--preset", preset, progress=progress)
        progress.finish(f"built in {time.monotonic() - started:.0f} s")
    for name in ("remorad", "remoractl", "bpf/xdp_pass.bpf.o"):
        program(os.environ.get("REMORA_BUILD", preset_folder(preset)), name)


def _run(*argv, progress=None):
    """Runs a step of the build, and shows which of ninja's steps are done."""
    last_lines = collections.deque(maxlen=40)
    with subprocess.Popen(
        argv, cwd=PROJECT, env=os.environ | {"NINJA_STATUS": "[%f/%t] "}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout:
            last_lines.append(line)
            step = re.match(r"\[(\d+)/(\d+)\] ", line)
            if step and progress:
                progress.count("building", int(step[1]), int(step[2]))
    if process.returncode != 0:
        raise LabError(f"{' '.join(argv)} failed:\n{''.join(last_lines)}")


def require_root():
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and loads BPF programs: run it as root")
