#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`cmake --install` into an empty tree: every file in its place, unit and man pages in order.

    install_test.py CMAKE BUILD_FOLDER SOURCE_FOLDER
"""

import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import unittest

CMAKE, BUILD, SOURCE = sys.argv[1:4]

CONFIG = "etc/remora/remora.toml"
CONFIGS = (CONFIG, "etc/remora/decap.toml")
UNITS = {"remora.service": "remorad", "remora-decap@.service": "remora-decap %I"}
PROGRAMS = ("remorad", "remoractl", "remora-decap")
MAN_PAGES = ("man8/remorad.8", "man8/remoractl.8", "man8/remora-decap.8", "man5/remora.toml.5")
COMPLETION = {
    "zsh/vendor-completions/_remora",
    *(f"bash-completion/completions/{name}" for name in PROGRAMS),
    *(f"fish/vendor_completions.d/{name}.fish" for name in PROGRAMS),
}
# Files that only one kind of host has.
LB_ONLY = {
    CONFIG, "lib/systemd/system/remora.service", "usr/sbin/remorad", "usr/share/man/man8/remorad.8",
    "usr/share/man/man5/remora.toml.5", "usr/share/doc/remora/examples/remora.toml",
    "usr/share/bash-completion/completions/remorad",
    "usr/share/fish/vendor_completions.d/remorad.fish",
}
BROKER_ONLY = {
    "etc/remora/decap.toml", "lib/systemd/system/remora-decap@.service", "usr/sbin/remora-decap",
    "usr/share/man/man8/remora-decap.8", "usr/share/doc/remora/examples/decap.toml",
    "usr/share/bash-completion/completions/remora-decap",
    "usr/share/fish/vendor_completions.d/remora-decap.fish",
}
DOCS = pathlib.Path(SOURCE, "docs")
DOCUMENTS = {
    "README.md", "examples/remora.toml", "examples/decap.toml", "LICENSES/Apache-2.0.txt", "LICENSES/GPL-2.0-only.txt",
    *(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")),
    *(str(file.relative_to(DOCS)) for file in DOCS.glob("examples/*/*")),
}


def run(*argv, stderr=subprocess.STDOUT, **environment):
    return subprocess.run(
        argv, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=stderr,
        text=True, timeout=60, check=False,
    )


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="remora-install-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.install()

    def install(self, *arguments, root=None):
        result = run(
            CMAKE, "--install", BUILD, "--prefix", "/usr", *arguments,
            DESTDIR=str(root or self.root),
        )
        self.assertEqual(result.returncode, 0, result.stdout)
        return result.stdout

    def test_it_may_be_done_twice(self):
        before = self.installed()
        self.install()
        self.assertEqual(self.installed(), before)

    def installed(self, root=None):
        root = root or self.root
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    def test_everything_is_in_its_place_and_nothing_else(self):
        expected = set(CONFIGS)
        expected |= {f"lib/systemd/system/{name}" for name in UNITS}
        expected |= {f"usr/sbin/{name}" for name in PROGRAMS}
        expected |= {f"usr/share/man/{name}" for name in MAN_PAGES}
        expected |= {f"usr/share/doc/remora/{name}" for name in DOCUMENTS}
        expected |= {f"usr/share/{name}" for name in COMPLETION}
        self.assertEqual(self.installed(), expected)

    def test_each_kind_of_host_has_a_component(self):
        for component, others in (("lb", BROKER_ONLY), ("broker", LB_ONLY)):
            with tempfile.TemporaryDirectory(prefix="remora-install-") as folder:
                root = pathlib.Path(folder)
                self.install("--component", component, root=root)
                self.assertEqual(self.installed(root), self.installed() - others, component)

    def test_the_lab_is_a_component_and_runs_the_installed_programs(self):
        self.install("--component", "lab")
        build = self.root / "usr/libexec/remora"
        for name in PROGRAMS:
            self.assertTrue((build / name).samefile(self.root / "usr/sbin" / name))
        self.assertTrue((build / "bpf/xdp_pass.bpf.o").is_file())
        for command in ("remora-lab", "remora-demo"):
            result = run(str(self.root / "usr/bin" / command), "--help")
            self.assertEqual(result.returncode, 0, result.stdout)
            self.assertIn("usage: ", result.stdout)

    def test_programs_are_stripped(self):
        for name in PROGRAMS:
            sections = run("readelf", "--sections", "--wide", str(self.root / "usr/sbin" / name))
            self.assertIn(" .text ", sections.stdout)
            self.assertNotRegex(sections.stdout, r" \.(debug_info|symtab) ", name)

    def test_a_broker_host_needs_neither_paho_nor_sqlite(self):
        with tempfile.TemporaryDirectory(prefix="remora-broker-") as folder:
            result = run(
                CMAKE, "-S", SOURCE, "-B", folder, "--preset", "broker",
                "-DCMAKE_DISABLE_FIND_PACKAGE_SQLite3=ON",
                "-DCMAKE_DISABLE_FIND_PACKAGE_PahoMqttCpp=ON",
            )
            self.assertEqual(result.returncode, 0, result.stdout)
            rules = pathlib.Path(folder, "build.ninja").read_text(encoding="utf-8")
        self.assertIn("remora-decap", rules)
        self.assertNotRegex(rules, "remorad|sqlite3|paho")

    def test_the_programs_run_and_the_rest_is_not_executable(self):
        for name in self.installed():
            mode = stat.S_IMODE((self.root / name).stat().st_mode)
            is_program = name.startswith("usr/sbin/") or name.endswith(".sh")
            self.assertEqual(mode, 0o755 if is_program else 0o644, name)
        for name in PROGRAMS:
            result = run(str(self.root / "usr/sbin" / name), "--help")
            self.assertEqual(result.returncode, 0, result.stdout)

    def test_the_programs_name_the_version_of_the_build(self):
        cache = pathlib.Path(BUILD, "CMakeCache.txt").read_text(encoding="utf-8")
        version = re.search(r"^CMAKE_PROJECT_VERSION:STATIC=(.+)$", cache, re.MULTILINE).group(1)
        for name in PROGRAMS:
            result = run(str(self.root / "usr/sbin" / name), "--version")
            self.assertEqual((result.returncode, result.stdout), (0, f"{name} {version}\n"))

    def test_the_configurations_are_accepted(self):
        for program, config in zip(("remorad", "remora-decap"), CONFIGS):
            checked = run(str(self.root / "usr/sbin" / program), "--check", str(self.root / config))
            self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_the_doctor_accepts_the_configurations(self):
        # The rest is about this machine, which is neither an LB nor a broker.
        for arguments, config in zip(((), ("--broker",)), CONFIGS):
            result = run(
                str(self.root / "usr/sbin/remoractl"), "doctor", *arguments, "--config", str(self.root / config), "--json",
            )
            checks = {f["check"]: f["state"] for f in json.loads(result.stdout)["findings"]}
            self.assertEqual(checks["config"], "ok", result.stdout)

    def test_edited_configurations_stay(self):
        for name in CONFIGS:
            config = self.root / name
            ours = config.read_text(encoding="utf-8")
            self.install()
            self.assertFalse(config.with_suffix(".toml.dist").exists(), "there was nothing to keep")

            config.write_text("# edited\n", encoding="utf-8")
            said = self.install()
            self.assertEqual(config.read_text(encoding="utf-8"), "# edited\n")
            self.assertEqual(config.with_suffix(".toml.dist").read_text(encoding="utf-8"), ours)
            self.assertIn(f"{config.name}.dist", said)

    def test_the_units_are_clean(self):
        for name, command in UNITS.items():
            # systemd checks that the program exists at its final path, not below our root.
            unit = self.root / name.replace("@", "@eth0")
            text = (self.root / "lib/systemd/system" / name).read_text(encoding="utf-8")
            self.assertNotIn("@", text.replace("@system-service", ""), "all is filled in")
            self.assertIn(f"ExecStart=/usr/sbin/{command}\n", text)
            program = f"{self.root}/usr/sbin/"
            text = text.replace("=/usr/sbin/", f"={program}").replace("=-/usr/sbin/", f"=-{program}")
            unit.write_text(text, encoding="utf-8")
            manuals = f"{self.root}/usr/share/man:"
            result = run("systemd-analyze", "verify", str(unit), MANPATH=manuals)
            ours = [line for line in result.stdout.splitlines() if "remora" in line]
            self.assertEqual((result.returncode, ours), (0, []), result.stdout)

    def test_man_pages_render_without_warnings(self):
        for name in MAN_PAGES:
            page = self.root / "usr/share/man" / name
            result = run(
                "man", "--warnings=w", "-l", str(page), stderr=subprocess.PIPE,
                MANWIDTH="80", LC_ALL="C.UTF-8",
            )
            self.assertEqual((result.returncode, result.stderr), (0, ""), name)
            self.assertIn("NAME", result.stdout)
            self.assertLessEqual(max(map(len, result.stdout.splitlines())), 80, name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
