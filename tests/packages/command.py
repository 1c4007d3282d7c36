# SPDX-License-Identifier: Apache-2.0
"""The command line of scripts/test-package."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from lab.build import LabError, require_root
from tests.packages import clean_root, debs

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILT = PROJECT / "build" / "packages"
ROOTS = PROJECT / "build" / "roots"


def main(description, argv):
    parser = argparse.ArgumentParser(
        prog="scripts/test-package", description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--packages", type=pathlib.Path, metavar="FOLDER",
                        help="where they are, instead of building them")
    arguments = parser.parse_args(argv)
    try:
        require_root()
        clean_root.enter_private_mounts()
        subprocess.run([PROJECT / "scripts" / "install-packages", "test-package"], check=True)
        if arguments.packages is None:
            subprocess.run([PROJECT / "scripts" / "package", BUILT], check=True)
        return run(debs.find(arguments.packages or BUILT))
    except (LabError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"test-package: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(packages):
    clean = clean_root.fetch(ROOTS / "minimal")
    root = clean_root.CleanRoot(clean)
    try:
        with tempfile.TemporaryDirectory(prefix="remora-package-") as folder:
            folder = pathlib.Path(folder)
            os.environ["REMORA_BUILD"] = str(programs_in(root, folder / "programs"))
            # It needs REMORA_BUILD.
            from tests.packages import package_test

            package_test.Surroundings.root = root
            package_test.Surroundings.packages = packages
            package_test.Surroundings.successors = debs.make_successors(packages, folder)
            runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
            result = runner.run(package_test.suite())
    finally:
        root.remove()
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return 1 if failed else 0


def programs_in(root, folder):
    """A folder that looks like a build to the lab: its programs are those that `root` has."""
    (folder / "bpf").mkdir(parents=True)
    for name in ("remorad", "remoractl", "remora-decap"):
        program = folder / name
        # A path below the root has another name inside.
        program.write_text(
            "#!/bin/bash\n"
            f'exec chroot "{root.path}" "/usr/sbin/{name}" "${{@#{root.path}}}"\n'
        )
        program.chmod(0o755)
    build_xdp_pass(folder)
    return folder


def build_xdp_pass(folder):
    """Builds the one program of the lab that packages do not have."""
    machine = subprocess.run(
        ["gcc", "-print-multiarch"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    subprocess.run(
        ["clang", "-target", "bpf", "-O2", "-g", "-isystem", f"/usr/include/{machine}",
         "-c", PROJECT / "lab/xdp_pass.bpf.c", "-o", folder / "bpf/xdp_pass.bpf.o"], check=True,
    )
