#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every file of the project names its license at its head, and the text of it is there.

    licenses_test.py SOURCE_FOLDER
"""

import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(sys.argv[1])
SKIPPED = 77

# The license texts, files without comments, and the bytes that feed the fuzzers.
WITHOUT = re.compile(
    r"LICENSES/.*|.*\.json|tests/fuzz/corpus/.*|debian/changelog|debian/source/format")
# The tag may follow a first line that must come first: `#!`, or a man page's title.
HEAD_LINES = 2
TAG = re.compile(r"SPDX-License-Identifier: ([\w.-]+(?: OR [\w.-]+)*)")


def tracked_files():
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
    )
    return listed.stdout.decode().split("\0")[:-1] if listed.returncode == 0 else []


def license_of(name):
    """The SPDX expression at the head of a file; None if there is none."""
    with open(ROOT / name, encoding="utf-8", errors="replace") as file:
        head = "".join(line for _, line in zip(range(HEAD_LINES), file))
    found = TAG.search(head)
    return found and found.group(1)


class Licenses(unittest.TestCase):
    def setUp(self):
        self.licenses = {
            name: license_of(name) for name in tracked_files()
            if not WITHOUT.fullmatch(name) and (ROOT / name).is_file()
        }

    def test_every_file_names_its_license(self):
        self.assertEqual([name for name, found in self.licenses.items() if not found], [])

    def test_every_license_is_there(self):
        named = {part for found in self.licenses.values() if found for part in found.split(" OR ")}
        there = {path.stem for path in (ROOT / "LICENSES").glob("*.txt")}
        self.assertEqual(named, there)

    def test_bpf_programs_are_gpl(self):
        # The kernel offers some helpers to GPL programs only.
        programs = {n: found for n, found in self.licenses.items() if n.endswith(".bpf.c")}
        self.assertEqual({n: f for n, f in programs.items() if f != "GPL-2.0-only"}, {})


if __name__ == "__main__":
    if not tracked_files():
        print("skipped: not a git checkout")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
