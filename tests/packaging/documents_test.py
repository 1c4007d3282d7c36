#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Markdown pages: links and anchors resolve, lines wrap, and the functions in journey.md exist.

    documents_test.py SOURCE_FOLDER
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv[1])
SKIPPED = 77
COLUMNS = 100

LINK = re.compile(r"\]\(\s*([^)\s]+)\s*\)")
HEADING = re.compile(r"#{1,6} +(.+?)\s*#*")
FENCE = re.compile(r"\s*(```|~~~)")
TABLE_ROW = re.compile(r"\s*\|")


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", *patterns], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
    )
    names = listed.stdout.decode().split("\0")[:-1] if listed.returncode == 0 else []
    return [path for path in map(ROOT.joinpath, names) if path.is_file()]


def prose(text):
    """The page without its code, which holds neither links nor headings."""
    lines, in_code = [], False
    for line in text.splitlines():
        if FENCE.match(line):
            in_code = not in_code
        elif not in_code:
            lines.append(line)
    return lines


def anchors(text):
    """The anchors of a page's headings, as GitHub forms them."""
    found = set()
    for line in prose(text):
        heading = HEADING.fullmatch(line)
        if not heading:
            continue
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.group(1)).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        number = 0
        anchor = slug
        while anchor in found:
            number += 1
            anchor = f"{slug}-{number}"
        found.add(anchor)
    return found


def broken_links(page):
    """Each relative link of `page` that leads nowhere."""
    text = re.sub(r"`[^`]*`", "", "\n".join(prose(page.read_text(encoding="utf-8"))))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        if not linked.exists():
            yield f"{page.name}: {target}: no such file"
        elif anchor and anchor not in anchors(linked.read_text(encoding="utf-8")):
            yield f"{page.name}: {target}: no such heading"


def long_lines(page):
    """Each line beyond the limit; rows of tables cannot wrap, nor can a line of one word."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if len(line) > COLUMNS and not TABLE_ROW.match(line) and len(line.split()) > 1:
            yield f"{page.name}:{number}: {len(line)} columns"


class Checks(unittest.TestCase):
    """What the checks themselves find."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="remora-documents-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def page(self, text, name="page.md"):
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    def test_a_link_needs_its_file_and_its_heading(self):
        self.page("# [lb]: where `it` sits\n\n```sh\n# no heading\n```\n# Same\n# Same\n", "other.md")
        good = "[a](other.md) [b](other.md#lb-where-it-sits) [c](other.md#same-1) [d](https://e.org/x) `[e](none)`\n"
        bad = "[a](none.md) [b](other.md#no-heading)\n[c](#same)\n"

        self.assertEqual(list(broken_links(self.page(good))), [])
        self.assertEqual(list(broken_links(self.page(bad))), [
            "page.md: none.md: no such file",
            "page.md: other.md#no-heading: no such heading",
            "page.md: #same: no such heading",
        ])

    def test_only_tables_may_be_wider(self):
        wide = "word " * 21
        page = self.page(f"{wide}\n| {wide} |\n{'x' * 120}\n```\n{wide}\n```\n")

        self.assertEqual(list(long_lines(page)), ["page.md:1: 105 columns", "page.md:5: 105 columns"])


class Pages(unittest.TestCase):
    def found_by(self, check):
        return [f"{page.relative_to(ROOT).parent}/{finding}" for page in tracked("*.md") for finding in check(page)]

    def test_links_lead_somewhere(self):
        self.assertEqual(self.found_by(broken_links), [])

    def test_the_functions_of_the_journeys_exist(self):
        journey = (ROOT / "docs/journey.md").read_text(encoding="utf-8")
        source = "\n".join(path.read_text(encoding="utf-8") for path in tracked("*.[ch]", "*.cpp"))
        named = set(re.findall(r"`(\w+)\(\)`", journey))
        self.assertEqual({name for name in named if not re.search(rf"\b{name}\(", source)}, set())
        self.assertGreater(len(named), 20)

    def test_decisions_are_numbered_and_listed(self):
        folder = ROOT / "docs/decisions"
        names = sorted(page.name for page in folder.glob("[0-9]*.md"))
        self.assertEqual([int(name[:3]) for name in names], list(range(1, len(names) + 1)))
        listed = LINK.findall((folder / "README.md").read_text(encoding="utf-8"))
        self.assertEqual([link for link in listed if link[0].isdigit()], names)

    def test_lines_wrap(self):
        self.assertEqual(self.found_by(long_lines), [])


if __name__ == "__main__":
    if not tracked("*.md"):
        print("skipped: not a git checkout")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
