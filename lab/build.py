# SPDX-License-Identifier: Apache-2.0
"""The programs that the lab runs: where they are, and building them."""

import os
import subprocess

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class LabError(RuntimeError):
    """Something that the user can put right; its text is one line."""


def build_folder():
    """Where remorad is: REMORA_BUILD, else the release preset's folder."""
    return os.environ.get("REMORA_BUILD", os.path.join(PROJECT, "build", "release"))


def program(folder, name):
    """The path of a program in the build folder `folder`."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        raise LabError(f"{path} is missing: build the project first")
    return path


def build():
    """Builds the release preset, unless REMORA_BUILD names a build to be used as it is."""
    if "REMORA_BUILD" not in os.environ:
        for argv in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
            result = subprocess.run(
                argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                check=False,
            )
            if result.returncode != 0:
                raise LabError(f"{' '.join(argv)} failed:\n{result.stdout[-4000:]}")
    for name in ("remorad", "remoractl", "bpf/xdp_pass.bpf.o"):
        program(build_folder(), name)


def require_root():
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and loads BPF programs: run it as root")
